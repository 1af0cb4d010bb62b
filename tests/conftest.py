"""The servers that tests may ask for, each started by the first test that does; and a workbench on both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.engines.presto.dialect import Dialect
from tests.support.java import functions_jar
from tests.support.mariadb import MariaDB, prepared_data
from tests.support.moto import forget, moto_server
from tests.support.presto import PrestoServer
from tests.support.presto_jvm import PrestoJvm, brought
from tests.support.processes import Reaper
from tests.support.redis import RedisServer
from tests.support.spark import SparkServer
from tests.support.workbench import (
    Workbench,
    copied,
    emptied,
    flush,
    migrated,
    open_workbench,
    redis_url_of,
    settings_for,
)


@pytest.fixture(scope="session")
def reaper() -> Iterator[Reaper]:
    """Adopts processes, so that they are gone even when the test run is killed."""
    reaper = Reaper()
    yield reaper
    reaper.close()


@pytest.fixture(scope="session")
def mariadb(reaper: Reaper, request: pytest.FixtureRequest) -> Iterator[MariaDB]:
    """A private MariaDB; a test makes its own database in it by `create_database()`."""
    cache = request.config.cache
    assert cache, "the cache keeps MariaDB's prepared data folder; run without -p no:cacheprovider"
    server = MariaDB(template=prepared_data(cache.mkdir("mariadb")), reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_server(reaper: Reaper) -> Iterator[RedisServer]:
    """A private Redis; a test that counts on an empty one calls `flush()`."""
    server = RedisServer(reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A server that speaks AWS's protocols; who uses `moto` finds it empty."""
    with moto_server() as url:
        yield url


@pytest.fixture
def moto(moto_url: str) -> str:
    forget(moto_url)
    return moto_url


@pytest.fixture(scope="session")
def spark_server(reaper: Reaper) -> Iterator[SparkServer]:
    """A private Spark, by Spark Connect at `connect_url` and by HiveServer2's protocol at `hive_port`."""
    server = SparkServer(reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def udf_jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JAR with a function for Hive and one for Spark, by the names in tests.support.java."""
    return functions_jar(tmp_path_factory.mktemp("functions"))


@pytest.fixture(scope="session")
def presto_server() -> Iterator[PrestoServer]:
    """A server of Presto's and Trino's protocol over DuckDB."""
    server = PrestoServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def presto_jvm(reaper: Reaper) -> Iterator[PrestoJvm]:
    yield from _jvm(Dialect.PRESTO, reaper)


@pytest.fixture(scope="session")
def trino_jvm(reaper: Reaper) -> Iterator[PrestoJvm]:
    yield from _jvm(Dialect.TRINO, reaper)


def _jvm(dialect: Dialect, reaper: Reaper) -> Iterator[PrestoJvm]:
    home = brought(dialect)
    if home is None:
        pytest.skip(f"scripts/fetch-presto {dialect.lower()} was not run")
    server = PrestoJvm(dialect=dialect, home=home, reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
async def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("metadata") / "metadata.db"
    await migrated(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
async def migrated_mariadb(mariadb: MariaDB) -> str:
    """The URL of a migrated database, which every test that uses it finds empty."""
    url = mariadb.url(mariadb.create_database())
    await migrated(url)
    return url


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated metadata database."""
    if request.param == "sqlite":
        return copied(request.getfixturevalue("migrated_sqlite"), tmp_path)
    url: str = request.getfixturevalue("migrated_mariadb")
    return url


@pytest.fixture
async def bench(database_url: str, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Workbench]:
    """One process's context with a planned engine, an empty database and an empty queue."""
    if not database_url.startswith("sqlite"):
        await emptied(database_url)
    redis_url = redis_url_of(redis_server.url)
    flush(redis_url)
    settings = settings_for(tmp_path, database_url=database_url, redis_url=redis_url)
    async with open_workbench(settings) as bench:
        yield bench
