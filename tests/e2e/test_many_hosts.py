"""Two hosts behind the nginx of scripts/examples, on ports of one machine: whichever part goes, nobody misses anything.

A host has a server, a worker and a scheduler. What these tests replace in the example is only addresses, ports and
certificates, and in one place how long nginx waits.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.support.client import CREATE_PLAYGROUND, RUN_EVENTS, Api, positions
from tests.support.mariadb import MariaDB
from tests.support.nginx import Nginx
from tests.support.platform import Platform
from tests.support.processes import Reaper, free_port
from tests.support.redis import RedisServer

SITE = Path(__file__).parents[2] / "scripts" / "examples" / "nginx.conf"
PLAYGROUND_EVENTS = "subscription($id: ID!) { playgroundEvents(playgroundId: $id) { events { status run { id } } } }"
OUTPUT = "query($id: ID!) { run(id: $id) { taskRuns { output { downloadUrl } } } }"
LOGIN = "mutation($i: LoginInput!) { login(input: $i) { session { accessToken refreshToken } errors { code } } }"
REFRESH = """mutation($i: RefreshSessionInput!) {
  refreshSession(input: $i) { session { accessToken refreshToken } errors { code } } }"""
LOGOUT = "mutation($i: LogoutInput!) { logout(input: $i) { errors { code } } }"
VIEWER = "{ viewer { username } }"
PATIENCE = 60  # seconds
BRANCHES = 4
FAIL_TIMEOUT = 2.1  # how long the example's nginx leaves a server alone that was away


@dataclass(kw_only=True)
class Host:
    """The parts of one machine."""

    platform: Platform
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    server: "Popen[bytes]" = field(init=False)
    worker: "Popen[bytes]" = field(init=False)
    scheduler: "Popen[bytes]" = field(init=False)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_server(self) -> None:
        self.server = self.platform.serve(port=self.port, health_port=self.health_port)

    def start(self) -> None:
        self.start_server()
        self.worker, self.scheduler = self.platform.start("worker"), self.platform.start("scheduler")

    async def until_served(self, *, workers: int = 2) -> None:
        """Wait until the server answers, and sees so many workers."""
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as client:
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{self.health_port}/health")
                    if answer.status_code == 200 and answer.json()["workers"] == workers:
                        return
                except httpx.HTTPError:
                    pass
                self.platform.complain_of_the_dead()
                await asyncio.sleep(0.05)

    async def restart_all(self) -> None:
        """One part after the other, as `systemctl restart` does it: stop, wait for its end, start."""
        await ended(self.worker)
        self.worker = self.platform.start("worker")
        await ended(self.scheduler)
        self.scheduler = self.platform.start("scheduler")
        await ended(self.server)
        self.start_server()
        await self.until_served()


async def ended(process: "Popen[bytes]") -> None:
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0


@dataclass(frozen=True, kw_only=True)
class Site:
    """All hosts and what stands before them."""

    hosts: tuple[Host, Host]
    nginx: Nginx
    metadata_server: MariaDB
    metadata: str

    def fact(self, query: str) -> str:
        """The one value that the metadata's database answers."""
        return self.metadata_server.execute(query, database=self.metadata).splitlines()[1]


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, mariadb: MariaDB) -> AsyncIterator[Site]:
    redis = RedisServer(reaper=reaper)
    redis.start()
    metadata = mariadb.create_database()
    platform = Platform(
        folder=tmp_path_factory.mktemp("hosts"),
        database_url=mariadb.url(metadata),
        redis_url=redis.url,
        reaper=reaper,
        DATA_PHANTOM__CONNECTOR__MYSQL__URL=mariadb.url(mariadb.create_database()),
        DATA_PHANTOM__GRAPHQL__KEEPALIVE_INTERVAL="1s",
    )
    hosts = (Host(platform=platform), Host(platform=platform))
    nginx = Nginx(site=SITE, changes=addresses(hosts), reaper=reaper)
    nginx.start()
    try:
        platform.run("migrate")
        for host in hosts:
            host.start()
        for host in hosts:
            await host.until_served()
        yield Site(hosts=hosts, nginx=nginx, metadata_server=mariadb, metadata=metadata)
    finally:
        platform.stop()
        nginx.close()
        redis.close()


def addresses(hosts: tuple[Host, Host]) -> dict[str, str]:
    return {f"10.0.0.1{number}:9092": f"127.0.0.1:{host.port}" for number, host in enumerate(hosts, 1)}


@pytest.fixture
async def api(site: Site, name: Callable[[], str]) -> AsyncIterator[Api]:
    """A signed-in caller who knows only nginx."""
    caller = Api(site.nginx.base, trust=site.nginx.trust)
    await caller.sign_up(name())
    yield caller
    await caller.close()


@pytest.fixture
async def directly(site: Site, api: Api) -> AsyncIterator[tuple[Api, Api]]:
    """The same caller, past nginx, on the first and on the second server."""
    callers = tuple(Api(host.base) for host in site.hosts)
    for caller in callers:
        caller.token = api.token
    yield callers[0], callers[1]
    for caller in callers:
        await caller.close()


async def diamond(api: Api, seconds: float, name: str = "diamond") -> str:
    """A task, several that depend on it and sleep on a real server, and one that waits for all of them."""
    playground = await api.playground(name)
    first = await api.task(playground, "first")
    middle = [
        await api.task(playground, f"branch {number}", f"SELECT sleep({seconds}) AS slept", (first,))
        for number in range(BRANCHES)
    ]
    await api.task(playground, "last", parents=tuple(middle))
    return playground


async def follow(api: Api, run: str, drops: list[str]) -> list[dict[str, Any]]:
    """All events of a run, by as many connections as it takes: each goes on at the last one's cursor."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with api.socket() as socket:
                    after = events[-1]["cursor"] if events else None
                    async for payload in socket.subscribe(RUN_EVENTS, id=run, after=after):
                        events += payload["data"]["runEvents"]["events"]
                    return events
            except (OSError, WebSocketException) as error:
                drops.append(repr(error))
                await asyncio.sleep(0.05)


def assert_whole(events: list[dict[str, Any]]) -> None:
    """Every event once, in order, and every task done by one attempt."""
    found = positions(events)
    assert found == list(range(found[0], found[0] + len(found)))
    assert [e["status"] for e in events if e["taskRun"] is None] == ["PENDING", "RUNNING", "SUCCESS"]
    told = Counter((e["taskRun"]["name"], e["status"], e["taskRun"]["attempt"]) for e in events if e["taskRun"])
    tasks = {"first", "last", *(f"branch {number}" for number in range(BRANCHES))}
    assert all(told[task, status, 1] == 1 for task in tasks for status in ("RUNNING", "SUCCESS")), told


async def test_who_watches_by_one_server_sees_a_run_that_was_started_by_the_other(
    directly: tuple[Api, Api],
) -> None:
    first, second = directly
    playground = await diamond(first, 0)
    async with first.socket() as socket, asyncio.timeout(PATIENCE):
        told = socket.subscribe(PLAYGROUND_EVENTS, id=playground)
        watching = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.5)  # for the subscription to be on: it tells nothing of what was before
        run = await second.start(playground)
        events = (await watching)["data"]["playgroundEvents"]["events"]
        while events[-1]["status"] != "SUCCESS" or len(events) < 3 + 3 * (BRANCHES + 2):
            events += (await anext(told))["data"]["playgroundEvents"]["events"]
    assert {event["run"]["id"] for event in events} == {run}
    assert_whole(await first.events(run))


async def test_sessions_and_download_links_of_one_server_are_good_on_the_other(
    api: Api, directly: tuple[Api, Api], name: Callable[[], str]
) -> None:
    first, second = directly
    playground = await first.playground("kept")
    await first.task(playground, "only", "SELECT 7 AS seven")
    run = await first.run_to_end(playground)
    ((task_run,),) = (await first.call(OUTPUT, id=run["id"])).values()
    link = task_run["output"]["downloadUrl"]
    for caller in (first, second, api):
        answer = await caller.http.get(link)
        assert (answer.status_code, answer.text) == (200, "seven\n7\n")

    await first.sign_up(user := name())
    session = (await first.call(LOGIN, i={"email": f"{user}@example.com", "password": "correct horse"}))["session"]
    second.token = session["accessToken"]
    assert (await second.call(VIEWER))["username"] == user
    renewed = (await second.call(REFRESH, i={"refreshToken": session["refreshToken"]}))["session"]
    first.token = renewed["accessToken"]
    assert (await first.call(VIEWER))["username"] == user
    await first.call(LOGOUT, i={"refreshToken": renewed["refreshToken"]})
    second.token = renewed["accessToken"]
    assert "errors" in await second.post(VIEWER)


async def test_nginx_says_that_the_client_came_by_https(site: Site, api: Api) -> None:
    answer = await api.http.get("/graphql/")
    assert answer.is_redirect
    assert answer.headers["location"] == f"{site.nginx.base}/graphql"


@pytest.fixture
def impatient_nginx(site: Site, reaper: Reaper) -> Iterator[Nginx]:
    """The same site, with as little patience for silence as the servers' heartbeats are quicker here: a fifteenth."""
    changes = addresses(site.hosts) | {"proxy_read_timeout 45s": "proxy_read_timeout 3s"}
    nginx = Nginx(site=SITE, changes=changes, reaper=reaper)
    nginx.start()
    yield nginx
    nginx.close()


async def test_a_socket_on_which_nothing_happens_stays_open(api: Api, impatient_nginx: Nginx) -> None:
    playground = await diamond(api, 0)
    patient = Api(impatient_nginx.base, trust=impatient_nginx.trust)
    patient.token = api.token
    async with patient.socket() as socket, asyncio.timeout(PATIENCE):
        told = socket.subscribe(PLAYGROUND_EVENTS, id=playground)
        watching = asyncio.ensure_future(anext(told))
        await asyncio.sleep(4)
        await api.start(playground)
        assert (await watching)["data"]["playgroundEvents"]["events"]
    await patient.close()


async def test_who_watches_by_a_server_that_is_killed_goes_on_by_the_other(site: Site, api: Api) -> None:
    playground = await diamond(api, 2)
    run = await api.start(playground)
    drops: list[str] = []
    followers = [asyncio.create_task(follow(api, run, drops)) for _ in range(6)]
    await asyncio.sleep(1)
    victim = site.hosts[0]
    victim.server.kill()
    try:
        for events in await asyncio.gather(*followers):
            assert_whole(events)
        assert drops, "nobody was on the killed server"
    finally:
        victim.start_server()
        await victim.until_served()


async def test_restarting_every_part_under_load_loses_and_repeats_nothing(site: Site, api: Api) -> None:
    await asyncio.sleep(FAIL_TIMEOUT)  # the test before may have left a server out of nginx's turn
    before = int(site.fact("SELECT count(*) FROM task_attempt"))
    calm = asyncio.Event()
    drops: list[str] = []
    playgrounds = [await diamond(api, 0.05, f"load {number}") for number in range(3)]
    callers = [asyncio.create_task(run_until(calm, api, playground, drops)) for playground in playgrounds]
    editor = asyncio.create_task(edit_until(calm, api))
    for host in site.hosts:
        await host.restart_all()
        await asyncio.sleep(FAIL_TIMEOUT)
    calm.set()
    runs = [events for told in await asyncio.gather(*callers) for events in told]
    assert await editor, "nothing was asked for meanwhile"
    for events in runs:
        assert_whole(events)
    assert drops, "no socket was ever on a server that went"
    ids = len({event["run"]["id"] for events in runs for event in events})
    assert ids == len(runs) >= len(playgrounds)
    assert int(site.fact("SELECT count(*) FROM task_attempt")) - before == len(runs) * (BRANCHES + 2)
    assert site.fact("SELECT count(*) FROM task_run WHERE status IN ('PENDING', 'QUEUED', 'RUNNING')") == "0"
    assert "Traceback" not in site.hosts[0].platform.logs()


async def run_until(calm: asyncio.Event, api: Api, playground: str, drops: list[str]) -> list[list[dict[str, Any]]]:
    """Run the playground again and again; what was told of every run. No call is ever made twice."""
    runs = []
    while not calm.is_set():
        runs.append(await follow(api, await api.start(playground), drops))
    return runs


async def edit_until(calm: asyncio.Event, api: Api) -> int:
    """Change something again and again; how often. Raises at the first call that is not answered well."""
    count = 0
    while not calm.is_set():
        await api.call(CREATE_PLAYGROUND, i={"name": f"edit {count}"})
        count += 1
        await asyncio.sleep(0.02)
    return count
