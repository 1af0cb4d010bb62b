"""Live feeds: every follower gets every row once and in order, whatever the delays, rings, cursors and leavings."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.services import following, live
from app.services.following import Batch, Place
from app.services.live import Feeds, Following

TOPIC = "topic"
ABSURD = 10**15  # a cursor that no row has


class LocalBell:
    """A doorbell without Redis: it rings in this process, and remembers who listens."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[], None]] = []
        self.listened = 0

    async def listen(self, topic: str, listener: Callable[[], None]) -> None:
        assert topic == TOPIC
        await asyncio.sleep(0)
        self.listeners.append(listener)
        self.listened += 1

    async def unlisten(self, topic: str, listener: Callable[[], None]) -> None:
        assert topic == TOPIC
        if listener in self.listeners:  # else it went before it listened
            self.listeners.remove(listener)

    def ring(self) -> None:
        for listener in tuple(self.listeners):
            listener()


class Source:
    """A growing list of numbers, counted from 1, read page by page like a table."""

    def __init__(self, *, seed: int = 0) -> None:
        self.rows: list[int] = []
        self.bell = LocalBell()
        self.feeds = Feeds(bell=self.bell)  # type: ignore[arg-type]  # a bell that rings in this process alone
        self.random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.fetches = 0
        self.failures: list[Exception] = []
        self.ended = False

    def add(self, count: int = 1) -> None:
        self.rows += range(len(self.rows) + 1, len(self.rows) + count + 1)

    async def pause(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0, 0.0005, 0.002]))

    async def fetch(self, after: int, limit: int) -> list[int]:
        self.fetches += 1
        await self.pause()
        if self.failures:
            raise self.failures.pop()
        found = self.rows[after : after + limit]
        await self.pause()  # what is found is old by the time it is told
        return found

    async def over(self) -> bool:
        await self.pause()
        return self.ended

    @asynccontextmanager
    async def following(self, after: int, *, ends: bool = False) -> AsyncIterator[AsyncIterator[Batch[int]]]:
        async with aclosing(self.place(after, ends=ends)) as batches:
            yield batches

    def place(self, after: int, *, ends: bool = False) -> Following[int]:
        place = Place(
            key="key",
            topic=TOPIC,
            fetch=self.fetch,
            position=lambda row: row,
            over=self.over if ends else None,
            after=after,
        )

        async def find() -> Place[int]:
            return place

        return Following(feeds=self.feeds, find=find)

    async def follow(self, after: int, *, until: int, slow: bool = False, ends: bool = False) -> list[int]:
        """What one follower gets until it has seen the row `until`, or the feed ends."""
        got: list[int] = []
        async with self.following(after, ends=ends) as batches:
            async for batch in batches:
                assert batch.cursor == batch.rows[-1]
                got += batch.rows
                if slow:
                    await asyncio.sleep(0.004)
                else:
                    await self.pause()
                if not ends and got[-1] >= until:
                    break
        return got


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few dozen rows are many pages, and a slow follower overflows."""
    monkeypatch.setattr(live, "PAGE", 7)
    monkeypatch.setattr(following, "BACKLOG", 3)
    monkeypatch.setattr(live, "RETRY_DELAY", 0.002)


def feed_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("feed ")]


@pytest.mark.parametrize("seed", range(30))
async def test_every_follower_gets_every_row_once_and_in_order(seed: int) -> None:
    source = Source(seed=seed)
    chance, total = source.random, 60 + seed
    source.add(chance.randrange(20))

    async def write() -> None:
        while len(source.rows) < total:
            source.add(min(chance.choice([1, 1, 2, 15]), total - len(source.rows)))
            if chance.random() < 0.8:  # a ring may be lost; the next one tells as well
                source.bell.ring()
            await source.pause()
        source.bell.ring()

    async def follow(number: int) -> None:
        await asyncio.sleep(chance.random() * 0.03)
        after = min(chance.choice([0, len(source.rows), chance.randrange(len(source.rows) + 1)]), total - 1)
        assert await source.follow(after, until=total, slow=number % 3 == 0) == list(range(after + 1, total + 1))

    async def come_and_go() -> None:
        for _ in range(6):
            going = asyncio.create_task(source.follow(chance.randrange(len(source.rows) + 1), until=ABSURD))
            await asyncio.sleep(chance.random() * 0.01)
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    writing = asyncio.create_task(write())
    async with asyncio.timeout(20):
        followers = [asyncio.create_task(follow(number)) for number in range(8)]
        leaving = asyncio.create_task(come_and_go())
        pending = set(followers)
        while pending:  # the last rings may have been lost on whoever was not listening yet
            _, pending = await asyncio.wait(pending, timeout=0.05)
            source.bell.ring()
        await asyncio.gather(writing, leaving, *followers)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not source.feeds._feeds
    assert not source.bell.listeners
    assert not feed_tasks()


@pytest.mark.parametrize("seed", range(10))
async def test_when_it_is_over_every_follower_ends_by_itself_with_all_rows(seed: int) -> None:
    source = Source(seed=seed)

    async def write() -> None:
        for _ in range(20):
            source.add(source.random.randrange(1, 4))
            source.bell.ring()
            await source.pause()
        source.ended = True
        source.bell.ring()

    writing = asyncio.create_task(write())
    followers = [asyncio.create_task(source.follow(0, until=ABSURD, ends=True, slow=n == 0)) for n in range(4)]
    async with asyncio.timeout(10):
        results = await asyncio.gather(*followers)
        await writing
    assert results == [source.rows] * 4
    assert await source.follow(5, until=ABSURD, ends=True) == source.rows[5:]  # whoever comes late ends at once
    assert await source.follow(len(source.rows), until=ABSURD, ends=True) == []


async def test_many_followers_are_served_by_one_reader_and_share_its_batches() -> None:
    source = Source()
    got: list[list[Batch[int]]] = [[] for _ in range(20)]

    async def follow(mine: list[Batch[int]]) -> None:
        async with source.following(0) as batches:
            async for batch in batches:
                mine.append(batch)
                if batch.cursor >= 30:
                    return

    followers = [asyncio.create_task(follow(mine)) for mine in got]
    await asyncio.sleep(0.05)  # all are attached
    before = source.fetches
    for _ in range(10):
        source.add(3)
        source.bell.ring()
        await asyncio.sleep(0.01)
    await asyncio.gather(*followers)
    assert source.bell.listened == 1
    assert source.fetches - before < 40  # and not twenty times as many
    assert all(mine[-1] is got[0][-1] for mine in got)


async def test_a_follower_that_cannot_keep_up_holds_nobody_up_and_misses_nothing() -> None:
    source = Source()
    stuck = asyncio.Event()
    slow: list[int] = []

    async def crawl() -> None:
        async with source.following(0) as batches:
            async for batch in batches:
                slow.extend(batch.rows)
                await stuck.wait()
                if slow[-1] >= 200:
                    return

    source.add()
    crawling = asyncio.create_task(crawl())
    quick = asyncio.create_task(source.follow(0, until=200))
    for _ in range(199):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0.0005)
    async with asyncio.timeout(5):
        assert await quick == source.rows
        assert len(slow) < 100  # it stands still, and its backlog is not kept for it
        stuck.set()
        await crawling
    assert slow == source.rows


@pytest.mark.parametrize("error", [OperationalError("SELECT", None, Exception("gone")), PoolTimeoutError(), OSError()])
async def test_a_database_that_is_away_for_a_moment_ends_no_feed(error: Exception) -> None:
    source = Source()
    following = asyncio.create_task(source.follow(0, until=10))
    await asyncio.sleep(0.02)
    source.failures = [error, error]
    source.add(10)
    source.bell.ring()
    assert await asyncio.wait_for(following, 5) == source.rows


async def test_a_cursor_that_no_row_has_neither_spins_nor_disturbs_the_others() -> None:
    source = Source()
    source.add(5)
    odd = asyncio.create_task(source.follow(ABSURD, until=ABSURD))
    await asyncio.sleep(0.02)
    following = [asyncio.create_task(source.follow(after, until=20)) for after in (0, 5, 2)]
    await asyncio.sleep(0.02)
    before = source.fetches
    await asyncio.sleep(0.05)
    assert source.fetches == before  # nothing has happened, so nobody looks
    for _ in range(15):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0.002)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*following) == [source.rows, source.rows[5:], source.rows[2:]]
    assert not odd.done()
    odd.cancel()
    await asyncio.gather(odd, return_exceptions=True)


async def test_a_follower_that_leaves_while_the_reader_starts_leaves_nothing_behind() -> None:
    source = Source()
    for turns in range(6):
        leaving = asyncio.create_task(source.follow(0, until=ABSURD))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert not source.feeds._feeds
    assert not source.bell.listeners
    assert not feed_tasks()
