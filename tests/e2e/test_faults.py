"""A run ends, whatever is killed and whenever: workers, Redis, the server; a cancelled one ends in its engine too."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any

import pytest

from tests.e2e.conftest import NewApi
from tests.support.client import RUN, RUN_EVENTS, Api, Socket, positions
from tests.support.mariadb import MariaDB, prepared_data
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.redis import RedisServer

CANCEL = "mutation($i: CancelRunInput!) { cancelRun(input: $i) { run { id cancelRequested } errors { code message } } }"
PATIENCE = 60  # seconds for a run to end; it takes a few where the machine is quiet


@dataclass(kw_only=True)
class Deployment:
    """Production in small, whose parts die easily: leases of two seconds, and no grace for a worker that is stopped."""

    platform: Platform
    metadata_server: MariaDB
    metadata: str
    source_server: MariaDB
    source: str
    redis: RedisServer
    workers: list["Popen[bytes]"] = field(default_factory=list)
    server: "Popen[bytes] | None" = None
    scheduler: "Popen[bytes] | None" = None

    @property
    def base(self) -> str:
        return self.platform.base

    async def until_workers_live(self, count: int = 2) -> None:
        """Replace dead workers, and wait until all are known by their heartbeat, and no others are."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < count:
            self.workers.append(self.platform.start("worker"))
        pids = {worker.pid for worker in self.workers}
        await until(
            lambda: set(self.facts("SELECT pid FROM worker WHERE kind = 'WORKER'")) == {(str(p),) for p in pids}
        )

    def holder(self, task: str) -> "Popen[bytes]":
        """The worker that runs the task now."""
        query = f"SELECT w.pid FROM task_run t JOIN worker w ON w.id = t.worker_id WHERE t.name = '{task}'"
        ((pid,),) = self.facts(query)
        return next(worker for worker in self.workers if worker.pid == int(pid))

    def attempts(self, task: str) -> list[tuple[str, ...]]:
        """Number, status and error code of each attempt that has ended."""
        return self.facts(
            "SELECT a.attempt, a.status, ifnull(a.error_code, '') FROM task_attempt a "
            f"JOIN task_run t ON t.id = a.task_run_id WHERE t.name = '{task}' ORDER BY a.attempt"
        )

    def facts(self, query: str) -> list[tuple[str, ...]]:
        """Rows of the metadata."""
        return [
            tuple(line.split("\t"))
            for line in self.metadata_server.execute(query, database=self.metadata).splitlines()[1:]
        ]

    def pace(self, name: str, seconds: float) -> str:
        """A query that sleeps as long as its row says: a later attempt may be told to be quicker than the first."""
        self.source_server.execute(f"REPLACE INTO pace VALUES ('{name}', {seconds})", database=self.source)
        return f"SELECT sleep(seconds) AS slept FROM pace WHERE name = '{name}'"

    def runs_in_engine(self, name: str) -> bool:
        """Whether the query with the pace of this name is running."""
        return f"WHERE name = '{name}'" in self.source_server.execute("SHOW FULL PROCESSLIST")


@pytest.fixture(scope="module")
def metadata_server(request: pytest.FixtureRequest, reaper: Reaper) -> Iterator[MariaDB]:
    """A server of this module's own, which may be killed."""
    assert request.config.cache
    server = MariaDB(template=prepared_data(request.config.cache.mkdir("mariadb")), reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
async def fragile(
    tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, mariadb: MariaDB, metadata_server: MariaDB
) -> AsyncIterator[Deployment]:
    redis = RedisServer(reaper=reaper)
    redis.start()
    metadata, source = metadata_server.create_database(), mariadb.create_database()
    mariadb.execute("CREATE TABLE pace (name VARCHAR(100) PRIMARY KEY, seconds DOUBLE)", database=source)
    platform = Platform(
        folder=tmp_path_factory.mktemp("fragile"),
        database_url=metadata_server.url(metadata),
        redis_url=redis.url,
        reaper=reaper,
        DATA_PHANTOM__CONNECTOR__MYSQL__URL=mariadb.url(source),
        DATA_PHANTOM__WORKER__HEARTBEAT_INTERVAL="200ms",
        DATA_PHANTOM__WORKER__LEASE="2s",
        DATA_PHANTOM__WORKER__SHUTDOWN_GRACE="100ms",
    )
    deployment = Deployment(
        platform=platform,
        metadata_server=metadata_server,
        metadata=metadata,
        source_server=mariadb,
        source=source,
        redis=redis,
    )
    try:
        platform.run("migrate")
        deployment.server = platform.serve()
        deployment.scheduler = platform.start("scheduler")
        deployment.workers = [platform.start("worker") for _ in range(2)]
        await platform.until_healthy(workers=2, seconds=90)
        yield deployment
    finally:
        platform.stop()
        redis.close()


@pytest.fixture
async def deployment(fragile: Deployment) -> Deployment:
    """All parts alive, whatever the test before has killed."""
    await fragile.until_workers_live()
    return fragile


@pytest.fixture
async def api(deployment: Deployment, new_api: NewApi, name: Callable[[], str]) -> Api:
    caller = new_api(deployment)
    await caller.sign_up(name())
    return caller


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30) -> None:
    """Look again and again. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


async def three_in_a_row(api: Api, middle: str, query: str) -> str:
    """A started run of a task, the one in question, and one that depends on it."""
    playground = await api.playground(middle)
    first = await api.task(playground, "first")
    slow = await api.task(playground, middle, query, (first,))
    await api.task(playground, "last", parents=(slow,))
    return await api.start(playground)


async def until_status(api: Api, run: str, task: str, status: str) -> None:
    async def reached() -> bool:
        found = await api.call(RUN, id=run)
        return any(t["name"] == task and t["status"] == status for t in found["taskRuns"])

    await until(reached)


async def ended(api: Api, run: str, status: str = "SUCCESS") -> list[dict[str, Any]]:
    """The events of a run that has ended so, from the first to the last, without a gap."""
    async with asyncio.timeout(PATIENCE):
        events = await api.events(run)
    found = await api.call(RUN, id=run)
    assert found["status"] == status, found
    assert positions(events) == list(range(1, len(events) + 1))
    return events


def statuses(events: Collection[dict[str, Any]], task: str | None) -> list[str]:
    """What became of a task, or of the run itself."""
    return [e["status"] for e in events if (e["taskRun"] and e["taskRun"]["name"]) == task]


async def test_a_task_whose_worker_is_killed_runs_again_on_another(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "orphan", deployment.pace("orphan", 300))
    await until(lambda: deployment.runs_in_engine("orphan"))
    deployment.pace("orphan", 0)
    victim = deployment.holder("orphan")
    victim.kill()
    events = await ended(api, run)
    assert statuses(events, "orphan") == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCESS"]
    assert statuses(events, "last") == ["QUEUED", "RUNNING", "SUCCESS"]
    assert statuses(events, None) == ["PENDING", "RUNNING", "SUCCESS"]
    assert deployment.attempts("orphan") == [("1", "FAILED", "WORKER_LOST"), ("2", "SUCCESS", "")]
    assert any("worker" in (event["message"] or "") for event in events)


async def test_a_worker_that_is_stopped_hands_its_work_over(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "handover", deployment.pace("handover", 300))
    await until(lambda: deployment.runs_in_engine("handover"))
    deployment.pace("handover", 0)
    leaving = deployment.holder("handover")
    leaving.terminate()
    events = await ended(api, run)
    assert await asyncio.to_thread(leaving.wait, 20) == 0
    assert statuses(events, "handover") == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCESS"]
    assert deployment.attempts("handover") == [("1", "CANCELLED", "HANDED_OVER"), ("2", "SUCCESS", "")]
    assert not deployment.runs_in_engine("handover"), "what the first attempt had begun is stopped"


async def test_a_worker_that_was_thought_dead_and_comes_back_changes_nothing(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "frozen", deployment.pace("frozen", 300))
    await until(lambda: deployment.runs_in_engine("frozen"))
    deployment.pace("frozen", 0)
    sleeper = deployment.holder("frozen")
    sleeper.send_signal(signal.SIGSTOP)
    try:
        events = await ended(api, run)
        assert deployment.attempts("frozen") == [("1", "FAILED", "WORKER_LOST"), ("2", "SUCCESS", "")]
        assert deployment.runs_in_engine("frozen")
    finally:
        sleeper.send_signal(signal.SIGCONT)
    await until(lambda: not deployment.runs_in_engine("frozen"), seconds=10)  # it sees that others took its work
    await deployment.until_workers_live()
    assert positions(await api.events(run)) == positions(events)
    assert len(deployment.attempts("frozen")) == 2
    assert sleeper.poll() is None


async def test_a_run_outlives_all_its_workers(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "survivor", deployment.pace("survivor", 300))
    await until(lambda: deployment.runs_in_engine("survivor"))
    deployment.pace("survivor", 0)
    for worker in deployment.workers:
        worker.kill()
        worker.wait()
    await deployment.until_workers_live(1)
    events = await ended(api, run)
    assert deployment.attempts("survivor")[-1] == ("2", "SUCCESS", "")
    assert statuses(events, None) == ["PENDING", "RUNNING", "SUCCESS"]


async def test_a_run_goes_on_when_redis_forgets_everything_again_and_again(deployment: Deployment, api: Api) -> None:
    playground = await api.playground("forgetful")
    root = await api.task(playground, "root", deployment.pace("root", 0.5))
    branches = [
        await api.task(playground, f"branch {number}", deployment.pace(f"branch_{number}", 0.2), (root,))
        for number in range(6)
    ]
    await api.task(playground, "join", parents=tuple(branches))
    run = await api.start(playground)
    deployment.redis.flush()
    flushes = 0
    async with api.socket() as socket, asyncio.timeout(PATIENCE):
        async for payload in socket.subscribe(RUN_EVENTS, id=run):
            if flushes < 4 and any(e["status"] == "QUEUED" for e in payload["data"]["runEvents"]["events"]):
                deployment.redis.flush()
                flushes += 1
    events = await ended(api, run)
    assert flushes
    for number in range(6):
        assert statuses(events, f"branch {number}") == ["QUEUED", "RUNNING", "SUCCESS"]


async def test_a_run_goes_on_when_redis_is_away_for_a_while(deployment: Deployment, api: Api) -> None:
    playground = await api.playground("without redis")
    root = await api.task(playground, "anchor", deployment.pace("anchor", 1))
    branches = [await api.task(playground, f"arm {number}", parents=(root,)) for number in range(4)]
    await api.task(playground, "end", parents=tuple(branches))
    run = await api.start(playground)
    await until_status(api, run, "anchor", "RUNNING")
    async with api.socket() as socket, asyncio.timeout(PATIENCE):
        with deployment.redis.down():
            async for payload in socket.subscribe(RUN_EVENTS, id=run):  # told without a bell, only more slowly
                if "SUCCESS" in statuses(payload["data"]["runEvents"]["events"], "anchor"):
                    break
        events = await ended(api, run)
    assert statuses(events, None) == ["PENDING", "RUNNING", "SUCCESS"]


async def test_a_run_that_is_started_while_redis_is_away_runs_when_it_is_back(deployment: Deployment, api: Api) -> None:
    playground = await api.playground("early")
    await api.task(playground, "only")
    with deployment.redis.down():
        run = await api.start(playground)
    assert statuses(await ended(api, run), "only") == ["QUEUED", "RUNNING", "SUCCESS"]


async def test_a_task_that_ends_while_the_database_is_away_is_not_run_again(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "blind", deployment.pace("blind", 1))
    async with api.socket() as socket, asyncio.timeout(PATIENCE):
        begun = asyncio.Event()
        following = asyncio.create_task(whole(socket, run, begun))
        await begun.wait()
        await until(lambda: deployment.runs_in_engine("blind"))
        deployment.scheduler.send_signal(signal.SIGSTOP)  # it would take the silent workers for dead
        try:
            with deployment.metadata_server.down():
                headers = {"authorization": f"Bearer {api.token}"}
                answer = await api.http.post("/graphql", json={"query": "{ viewer { id } }"}, headers=headers)
                assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
                await until(lambda: "execution.end_waits" in deployment.platform.logs())
            events = await following
        finally:
            deployment.scheduler.send_signal(signal.SIGCONT)
    assert positions(events) == positions(await ended(api, run))
    assert deployment.attempts("blind") == [("1", "SUCCESS", "")]
    assert "Traceback" not in deployment.platform.logs()


async def whole(socket: Socket, run: str, begun: asyncio.Event) -> list[dict[str, Any]]:
    """A run's events to its end; says when the first ones have come."""
    events: list[dict[str, Any]] = []
    async for payload in socket.subscribe(RUN_EVENTS, id=run):
        events += payload["data"]["runEvents"]["events"]
        begun.set()
    return events


async def test_a_follower_of_a_server_that_is_killed_goes_on_at_its_cursor_on_the_next(
    deployment: Deployment, api: Api
) -> None:
    playground, parents = await api.playground("followed"), ()
    for number in range(4):
        query = deployment.pace(f"step_{number}", 0.5)
        parents = (await api.task(playground, f"step {number}", query, parents),)
    run = await api.start(playground)
    before: list[dict[str, Any]] = []
    async with api.socket() as socket:
        following = socket.subscribe(RUN_EVENTS, id=run)
        while statuses(before, "step 0")[-1:] != ["RUNNING"]:
            before += (await anext(following))["data"]["runEvents"]["events"]
        deployment.server.kill()
        with pytest.raises(ConnectionError):
            before += [e async for payload in following for e in payload["data"]["runEvents"]["events"]]
    deployment.server = deployment.platform.serve()
    await deployment.platform.until_healthy(workers=2)
    async with asyncio.timeout(PATIENCE):
        after = await api.events(run, after=before[-1]["cursor"])
    assert positions(before + after) == list(range(1, 4 + 3 * 4))
    assert statuses(before + after, None) == ["PENDING", "RUNNING", "SUCCESS"]


async def test_cancelling_a_run_stops_its_query_in_the_engine(deployment: Deployment, api: Api) -> None:
    run = await three_in_a_row(api, "endless", deployment.pace("endless", 300))
    await until(lambda: deployment.runs_in_engine("endless"))
    cancelled = (await api.call(CANCEL, i={"runId": run}))["run"]
    assert cancelled["cancelRequested"]
    await until(lambda: not deployment.runs_in_engine("endless"), seconds=10)
    events = await ended(api, run, "CANCELLED")
    assert statuses(events, "first") == ["QUEUED", "RUNNING", "SUCCESS"]
    assert statuses(events, "endless") == ["QUEUED", "RUNNING", "CANCELLED"]
    assert statuses(events, "last") == ["CANCELLED"]
    assert statuses(events, None)[-1] == "CANCELLED"


async def test_a_cancelled_run_ends_even_where_its_worker_is_killed_at_that_moment(
    deployment: Deployment, api: Api
) -> None:
    run = await three_in_a_row(api, "twice", deployment.pace("twice", 300))
    await until(lambda: deployment.runs_in_engine("twice"))
    os.kill(deployment.holder("twice").pid, signal.SIGKILL)
    await api.call(CANCEL, i={"runId": run})
    events = await ended(api, run, "CANCELLED")
    assert statuses(events, "twice")[-1] == "CANCELLED"


async def test_a_killed_workers_jobs_do_not_stay_in_the_queue(deployment: Deployment, api: Api) -> None:
    playground = await api.playground("leftovers")
    for number in range(3):
        await api.task(playground, f"leftover {number}", deployment.pace(f"leftover_{number}", 300))
    run = await api.start(playground)
    await until(lambda: all(deployment.runs_in_engine(f"leftover_{number}") for number in range(3)))
    for number in range(3):
        deployment.pace(f"leftover_{number}", 0)
    for worker in deployment.workers:
        worker.kill()
        worker.wait()
    await deployment.until_workers_live()
    await ended(api, run)
    await until(lambda: deployment.redis.queued("phantom:tasks") == 0, seconds=10)
