"""The queue: a job is taken up at its ring, not before its time, past what runs, and however Redis comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import redis

from app.domain.dispatch import Pool
from app.domain.events import Job, JobName, Outbox
from app.domain.identity import new_id
from app.messaging import delivery as delivery_module
from app.messaging import queue as queue_module
from app.messaging.bell import Bell
from app.messaging.delivery import Delivery
from app.messaging.queue import MOST_IDS, SPREAD, Handler, JobQueue, Room, make_worker, queue_of, queue_topic
from tests.support.processes import Reaper, free_port
from tests.support.redis import RedisServer

TASKS = queue_of(JobName.EXECUTE_TASKS)
MANY = 100  # as many as arq would read of a queue's head


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[RedisServer]:
    """A Redis that these tests stop and start."""
    server = RedisServer(reaper=reaper)
    server.start()
    yield server
    server.close()


def alone(id_: UUID, **values: Any) -> Job:
    """A job that travels with no other: those of one playground share."""
    return Job(name=JobName.EXECUTE_TASKS, id=id_, playground_id=new_id(), **values)


def each(handle: Callable[[UUID], Awaitable[None]]) -> Handler:
    async def handler(_playground_id: UUID | None, ids: Sequence[UUID]) -> None:
        for id_ in ids:
            await handle(id_)

    return handler


class Shop:
    """A queue, and workers of it whose jobs do what the test says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = JobQueue(url=url)
        self.bell = Bell(url=url)
        self.deliver = Delivery(queue=self.queue, bell=self.bell)
        self.done: list[UUID] = []
        self.news = asyncio.Event()

    async def send(self, count: int = 1, *, not_before: datetime | None = None) -> list[UUID]:
        ids = [new_id() for _ in range(count)]
        jobs = [alone(id_, not_before=not_before) for id_ in ids]
        await self.deliver(Outbox(jobs=jobs))
        return ids

    async def note(self, id_: UUID) -> None:
        self.done.append(id_)
        self.news.set()

    async def until_done(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.done) < count:
                self.news.clear()
                await self.news.wait()

    @asynccontextmanager
    async def worker(
        self,
        handler: Callable[[UUID], Awaitable[None]] | None = None,
        *,
        max_jobs: int = 10,
        queues: Mapping[str, Room] | None = None,
    ) -> AsyncIterator[None]:
        wake = asyncio.Event()
        worker = make_worker(
            url=self.url,
            queues=queues or {TASKS: lambda: MANY},
            handlers={JobName.EXECUTE_TASKS: each(handler or self.note)},
            wake=wake,
            max_jobs=max_jobs,
        )
        async with self.bell.listening(queue_topic(JobName.EXECUTE_TASKS), wake.set):
            running = asyncio.create_task(worker.main())
            try:
                yield
            finally:
                await worker.finish()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def shop(server: RedisServer) -> AsyncIterator[Shop]:
    server.flush()
    shop = Shop(server.url)
    await shop.bell.start()
    yield shop
    await shop.bell.close()
    await shop.queue.close()


async def test_a_job_is_done_once_by_whichever_worker_is_free(shop: Shop) -> None:
    async with shop.worker(), shop.worker():
        ids = await shop.send(50)
        await shop.until_done(50)
    assert sorted(shop.done) == sorted(ids)
    assert await shop.queue.length(JobName.EXECUTE_TASKS) == 0


async def test_a_ring_wakes_a_worker_long_before_it_would_look(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "POLL_INTERVAL", timedelta(seconds=60))
    async with shop.worker():
        await asyncio.sleep(0.05)
        for count in range(1, 4):
            await shop.send()
            await asyncio.wait_for(shop.until_done(count), 5)


async def test_a_full_worker_takes_the_next_job_as_soon_as_one_has_ended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "POLL_INTERVAL", timedelta(seconds=60))
    async with shop.worker(max_jobs=1):
        await shop.send(8)
        await asyncio.wait_for(shop.until_done(8), 5)


async def test_a_job_whose_ring_was_lost_is_found_at_the_next_look(shop: Shop) -> None:
    async with shop.worker():
        await asyncio.sleep(0.05)
        await shop.queue.send([alone(new_id())])
        await shop.until_done(1)


async def test_a_deferred_job_waits_for_its_time_and_is_counted(shop: Shop) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.3)
    async with shop.worker():
        (late,) = await shop.send(not_before=due)
        (soon,) = await shop.send()
        await shop.until_done(1)
        assert shop.done == [soon]
        assert await shop.queue.length(JobName.EXECUTE_TASKS) == 1
        await shop.until_done(2)
    assert shop.done == [soon, late]
    assert datetime.now(UTC) >= due


async def test_tasks_of_one_playground_share_jobs_and_every_worker_gets_a_part(shop: Shop) -> None:
    playground_id, parcels = new_id(), []

    async def take(found: UUID | None, ids: Sequence[UUID]) -> None:
        assert found == playground_id
        parcels.append(len(ids))
        for id_ in ids:
            await shop.note(id_)

    ids = [new_id() for _ in range(200)]
    await shop.queue.send([Job(name=JobName.EXECUTE_TASKS, id=id_, playground_id=playground_id) for id_ in ids])
    worker = make_worker(
        url=shop.url,
        queues={TASKS: lambda: MANY},
        handlers={JobName.EXECUTE_TASKS: take},
        wake=asyncio.Event(),
        max_jobs=MANY,
    )
    running = asyncio.create_task(worker.main())
    await shop.until_done(200)
    await worker.finish()
    await running
    assert sorted(shop.done) == sorted(ids)
    assert max(parcels) <= MOST_IDS
    assert len(parcels) >= SPREAD


async def test_nothing_is_taken_from_a_lane_without_room(shop: Shop) -> None:
    full, free = ((Pool.ADHOC, lane) for lane in ("full", "free"))
    rooms = {full: 0, free: 1}
    queues = {queue_of(JobName.EXECUTE_TASKS, lane): partial(rooms.__getitem__, lane) for lane in (full, free)}
    waiting, done = new_id(), new_id()
    await shop.queue.send([alone(waiting, lane=full), alone(done, lane=free)])
    async with shop.worker(queues=queues):
        await shop.until_done(1)
        assert shop.done == [done]
        assert await shop.queue.length(JobName.EXECUTE_TASKS) == 1
        rooms[full] = 1
        await shop.until_done(2)
    assert shop.done == [done, waiting]


async def test_what_runs_neither_counts_as_waiting_nor_hides_what_does(shop: Shop) -> None:
    gate, begun = asyncio.Event(), []

    async def hold(id_: UUID) -> None:
        begun.append(id_)
        shop.news.set()
        await gate.wait()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(shop.worker(hold, max_jobs=MANY + 10))
        await shop.send(MANY + 10)
        async with asyncio.timeout(20):
            while len(begun) < MANY + 10:
                shop.news.clear()
                await shop.news.wait()
        assert await shop.queue.length(JobName.EXECUTE_TASKS) == 0
        (waiting,) = await shop.send()
        await stack.enter_async_context(shop.worker(max_jobs=1))
        await shop.until_done(1)
        assert shop.done == [waiting]
        gate.set()


async def test_the_jobs_of_a_killed_worker_do_not_fill_the_queues_head(shop: Shop) -> None:
    wake = asyncio.Event()
    forever = asyncio.Event()
    begun: list[UUID] = []

    async def hold(id_: UUID) -> None:
        begun.append(id_)
        await forever.wait()

    killed = make_worker(
        url=shop.url,
        queues={TASKS: lambda: MANY},
        handlers={JobName.EXECUTE_TASKS: each(hold)},
        wake=wake,
        max_jobs=MANY,
    )
    running = asyncio.create_task(killed.main())
    await shop.send(MANY)
    async with asyncio.timeout(20):
        while len(begun) < MANY:
            wake.set()
            await asyncio.sleep(0.01)
    running.cancel()  # and nothing is tidied up
    (waiting,) = await shop.send()
    async with shop.worker():
        await shop.until_done(1)
    assert shop.done == [waiting]
    await asyncio.gather(running, return_exceptions=True)
    await killed.finish()


async def test_a_job_that_fails_takes_no_other_with_it(shop: Shop) -> None:
    async def handle(id_: UUID) -> None:
        if id_ in bad:
            raise RuntimeError("on purpose")
        await shop.note(id_)

    bad: set[UUID] = set()
    async with shop.worker(handle, max_jobs=2):
        bad |= set(await shop.send(5))
        await shop.send(5)
        await shop.until_done(5)
    assert await shop.queue.length(JobName.EXECUTE_TASKS) == 0


async def test_stopping_cancels_each_job_once_and_waits_for_its_last_words(shop: Shop) -> None:
    begun, cancelled, said = [], [], []

    async def hold(id_: UUID) -> None:
        begun.append(id_)
        shop.news.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(id_)
            await asyncio.sleep(0.15)  # longer than the interval between two looks for more to cancel
            said.append(id_)
            raise

    async with shop.worker(hold):
        ids = await shop.send(3)
        async with asyncio.timeout(5):
            while len(begun) < 3:
                await shop.news.wait()
                shop.news.clear()
    assert sorted(cancelled) == sorted(said) == sorted(ids)


async def test_a_worker_outlives_a_restart_of_redis(shop: Shop, server: RedisServer) -> None:
    async with shop.worker():
        await shop.send()
        await shop.until_done(1)
        with server.down():
            await asyncio.sleep(0.05)
        await asyncio.wait_for(shop.bell._connected.wait(), 10)
        await shop.send()
        await shop.until_done(2)


async def test_a_delivery_while_redis_is_away_ends_in_time_and_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "PATIENCE", 0.3)
    shop = Shop(f"redis://127.0.0.1:{free_port()}/0")
    async with asyncio.timeout(2):
        await shop.send(3)
        with pytest.raises(redis.RedisError):
            await shop.queue.length(JobName.EXECUTE_TASKS)
    await shop.bell.close()
    await shop.queue.close()
