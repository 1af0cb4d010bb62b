"""The servers that tests may ask for; each is started by the first test that does."""

from collections.abc import Iterator

import pytest

from tests.support.mariadb import MariaDB, prepared_data
from tests.support.processes import Reaper
from tests.support.redis import RedisServer


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
