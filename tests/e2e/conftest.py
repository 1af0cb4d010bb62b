"""Two deployments to walk through from outside: separate processes as in production, and everything in one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest

from tests.support.client import Api
from tests.support.mariadb import MariaDB
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.redis import RedisServer


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A running platform; `real_mysql` says whether MYSQL tasks run on a server."""

    platform: Platform
    real_mysql: bool

    @property
    def base(self) -> str:
        return self.platform.base


NewApi = Callable[[Deployment], Api]


@pytest.fixture(scope="session")
async def production(
    tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, mariadb: MariaDB
) -> AsyncIterator[Deployment]:
    """MariaDB, Redis, a server, a scheduler and two workers; MYSQL tasks run in a database beside the metadata's."""
    redis = RedisServer(reaper=reaper)  # its own: other tests empty the shared one
    redis.start()
    platform = Platform(
        folder=tmp_path_factory.mktemp("production"),
        database_url=mariadb.url(mariadb.create_database()),
        redis_url=redis.url,
        reaper=reaper,
        DATA_PHANTOM__CONNECTOR__MYSQL__URL=mariadb.url(mariadb.create_database()),
    )
    try:
        platform.run("migrate")
        platform.serve()
        for part in ("scheduler", "worker", "worker"):
            platform.start(part)
        await platform.until_healthy(workers=2, seconds=90)
        yield Deployment(platform=platform, real_mysql=True)
    finally:
        platform.stop()
        redis.close()


@pytest.fixture(scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> AsyncIterator[Deployment]:
    """`data-phantom start`: one process, SQLite and its own Redis."""
    platform = Platform(folder=tmp_path_factory.mktemp("embedded"), database_url="", redis_url="", reaper=reaper)
    platform.start_embedded("--no-demo")
    try:
        await platform.until_healthy(seconds=60)
        yield Deployment(platform=platform, real_mysql=False)
    finally:
        platform.stop()


@pytest.fixture(params=["production", "embedded"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def new_api() -> AsyncIterator[NewApi]:
    """Callers of a deployment who have no account yet."""
    async with AsyncExitStack() as stack:

        def make(deployment: Deployment) -> Api:
            api = Api(deployment.base)
            stack.push_async_callback(api.close)
            return api

        yield make


@pytest.fixture
def name() -> Callable[[], str]:
    """A user name that nobody has taken."""
    return lambda: f"caller-{next(_NUMBERS)}"


@pytest.fixture
async def api(deployment: Deployment, new_api: NewApi, name: Callable[[], str]) -> Api:
    """A signed-in caller of the deployment."""
    caller = new_api(deployment)
    await caller.sign_up(name())
    return caller


_NUMBERS = count(1)
