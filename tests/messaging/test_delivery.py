"""What could not be sent after a commit is sent later: who waits for the ring of a run's end must not wait for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.domain.events import Job, JobName, Outbox, every_topic
from app.domain.identity import new_id
from app.messaging import delivery as delivery_module
from app.messaging.bell import Bell
from app.messaging.delivery import Delivery
from app.messaging.queue import JobQueue
from tests.messaging.test_bell import Ear
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer
from tests.support.workbench import flush, redis_url_of


@pytest.fixture
async def url(redis_server: RedisServer) -> str:
    url = redis_url_of(redis_server.url)
    flush(url)
    return url


@pytest.fixture
async def ear_of(url: str) -> AsyncIterator[Bell]:
    """The bell of a process that listens, and does not go by the proxy."""
    bell = Bell(url=url)
    await bell.start()
    yield bell
    await bell.close()


class Sender:
    """A process that sends by way of a proxy."""

    def __init__(self, url: str) -> None:
        self.bell, self.queue = Bell(url=url), JobQueue(url=url)
        self.deliver = Delivery(queue=self.queue, bell=self.bell)

    async def close(self) -> None:
        await self.deliver.close()
        await self.bell.close()
        await self.queue.close()


@pytest.fixture
async def line(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    with Proxy(upstream_port=redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def sender(
    url: str, line: Proxy, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sender]:
    monkeypatch.setattr(delivery_module, "RETRY_INTERVAL", 0.02)
    sender = Sender(url.replace(f":{redis_server.port}/", f":{line.port}/"))
    yield sender
    await sender.close()


async def test_rings_and_jobs_that_could_not_be_sent_are_sent_once_redis_is_back(
    sender: Sender, line: Proxy, ear_of: Bell
) -> None:
    ears = {topic: Ear() for topic in ("a", "b", "c")}
    async with (
        ear_of.listening("a", ears["a"]),
        ear_of.listening("b", ears["b"]),
        ear_of.listening("c", ears["c"]),
    ):
        for ear in ears.values():
            ear.event.clear()
        with line.away():
            for topic in "ab":
                job = Job(name=JobName.EXECUTE_TASKS, id=new_id(), playground_id=new_id())
                await sender.deliver(Outbox(jobs=[job], rings={topic: None}))
        for topic in "ab":
            await ears[topic].hear()
        assert not ears["c"].event.is_set()
    assert await sender.queue.length(JobName.EXECUTE_TASKS) == 2


async def test_more_than_can_be_remembered_is_told_by_one_ring_of_everything(
    sender: Sender, line: Proxy, ear_of: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "MOST_OWED", 5)
    ear = Ear()
    async with ear_of.listening("the topic", ear):
        ear.event.clear()
        with line.away():
            jobs = [Job(name=JobName.EXECUTE_TASKS, id=new_id(), playground_id=new_id()) for _ in range(9)]
            await sender.deliver(Outbox(jobs=jobs, rings={f"topic {number}": None for number in range(9)}))
        await ear.hear()
    assert await sender.queue.length(JobName.EXECUTE_TASKS) == 5, "the sweeper sends the others"


async def test_everybody_hears_a_ring_of_everything(sender: Sender, ear_of: Bell) -> None:
    ears = [Ear(), Ear()]
    async with ear_of.listening("a", ears[0]), ear_of.listening("b", ears[1]):
        for ear in ears:
            ear.event.clear()
        await sender.deliver(Outbox(rings={every_topic(): None}))
        for ear in ears:
            await ear.hear()


async def test_a_process_that_ends_does_not_wait_for_redis(sender: Sender, line: Proxy) -> None:
    with line.away():
        await sender.deliver(Outbox(rings={"a": None}))
        async with asyncio.timeout(5):
            await sender.close()
