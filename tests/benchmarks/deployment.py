"""A deployment to measure: SQLite and the embedded Redis in one process, or MariaDB, Redis and separate processes."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

from tests.support.client import Api
from tests.support.mariadb import MariaDB, prepared_data
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.redis import RedisServer


@asynccontextmanager
async def embedded() -> AsyncIterator[Platform]:
    """`data-phantom start`: everything in one process."""
    with tempfile.TemporaryDirectory() as name, closing(Reaper()) as reaper:
        folder = Path(name)
        platform = Platform(folder=folder, database_url="", redis_url="", reaper=reaper)
        platform.environment = {k: v for k, v in platform.environment.items() if not k.startswith("DATA_PHANTOM__")}
        platform.environment["DATA_PHANTOM__GRAPHQL__MAX_SOCKETS_PER_USER"] = "100000"
        arguments = ("--no-demo", "--data-dir", str(folder / "data"), "--port", str(platform.port))
        platform.start("start", *arguments, "--health-port", str(platform.health_port))
        try:
            await platform.until_healthy()
            yield platform
        finally:
            platform.stop()


@asynccontextmanager
async def installed() -> AsyncIterator[Platform]:
    """MariaDB and Redis, and a platform of which nothing is started yet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reaper = Reaper()
        stack.callback(reaper.close)
        cache = Path(tempfile.gettempdir()) / "data-phantom-bench"
        cache.mkdir(exist_ok=True)
        mariadb, redis = MariaDB(template=prepared_data(cache), reaper=reaper), RedisServer(reaper=reaper)
        for server in (mariadb, redis):
            server.start()
            stack.callback(server.close)
        platform = Platform(
            folder=folder,
            database_url=mariadb.url(mariadb.create_database()),
            redis_url=redis.url,
            reaper=reaper,  # a benchmark that is stopped leaves no server behind
            DATA_PHANTOM__GRAPHQL__MAX_SOCKETS_PER_USER="100000",
        )
        stack.callback(platform.stop)
        platform.run("migrate")
        yield platform


@asynccontextmanager
async def production(*, workers: int = 2) -> AsyncIterator[Platform]:
    """MariaDB, Redis, one server, `workers` workers and a scheduler, each a process."""
    async with installed() as platform:
        platform.serve()
        platform.start("scheduler")
        for _ in range(workers):
            platform.start("worker")
        await platform.until_healthy(workers=workers)
        yield platform


async def caller(platform: Platform, name: str) -> Api:
    api = Api(platform.base)
    await api.sign_up(name)
    return api
