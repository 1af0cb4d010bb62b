"""Live feeds that push: every listener is told every row once and in order, and who has no room holds nobody up."""

import asyncio
import gc
import sys
from collections import Counter
from typing import Any

import pytest

from app.services import live
from app.services.following import Batch
from tests.services.test_live import ABSURD, Source


class Ear:
    """A listener whose room comes and goes; it keeps what it was told."""

    def __init__(self, *, key: object = "same", delay: float | None = None) -> None:
        self.key = key
        self.got: list[int] = []
        self.forms: Counter[int] = Counter()  # by the batch's cursor
        self.asked_for_room = 0
        self._delay = delay
        self._room = asyncio.Event()
        self._room.set()

    def form(self, batch: Batch[int]) -> Any:
        self.forms[batch.cursor] += 1
        if self._delay is None:
            return tuple(batch.rows)
        shared = batch.encoded.get(self.key)
        if shared is None:
            shared = batch.encoded[self.key] = asyncio.create_task(self._later(batch, self._delay))
        return shared

    async def _later(self, batch: Batch[int], delay: float) -> tuple[int, ...]:
        await asyncio.sleep(delay)
        return tuple(batch.rows)

    def tell(self, form: tuple[int, ...]) -> bool:
        if self._room.is_set():
            self.got += form
        return self._room.is_set()

    async def ready(self) -> None:
        self.asked_for_room += 1
        await self._room.wait()

    def be_full(self) -> None:
        self._room.clear()

    def have_room(self) -> None:
        self._room.set()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAGE", 7)
    monkeypatch.setattr(live, "AT_A_TIME", 3)
    monkeypatch.setattr(live, "FORM_SECONDS", 0.002)
    monkeypatch.setattr(live, "SHARED_SECONDS", 0.001)


async def told(ear: Ear, until: int) -> list[int]:
    """What an ear was told, once it was told the row `until`."""
    async with asyncio.timeout(10):
        while not ear.got or ear.got[-1] < until:  # noqa: ASYNC110  # an ear is told, and tells nobody
            await asyncio.sleep(0.002)
    return ear.got


async def stopped(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("seed", range(20))
async def test_whoever_has_room_or_not_and_however_long_a_form_takes_each_row_is_told_once_in_order(seed: int) -> None:
    source = Source(seed=seed)
    chance, total = source.random, 60 + seed
    ears = [
        *(Ear() for _ in range(8)),
        *(Ear(key="late", delay=0.0005) for _ in range(3)),
        *(Ear(key="too late", delay=0.004) for _ in range(2)),
    ]
    starts = [chance.randrange(10) for _ in ears]
    serving = [asyncio.create_task(source.place(after).serve(ear)) for after, ear in zip(starts, ears, strict=True)]
    pulling = [asyncio.create_task(source.follow(0, until=total, slow=number == 0)) for number in range(2)]
    while len(source.rows) < total:
        source.add(min(chance.choice([1, 1, 2, 9]), total - len(source.rows)))
        source.bell.ring()
        ear = chance.choice(ears)
        chance.choice([ear.be_full, ear.have_room, ear.have_room])()
        await source.pause()
    for ear in ears:
        ear.have_room()
    async with asyncio.timeout(10):
        for after, ear in zip(starts, ears, strict=True):
            assert await told(ear, total) == list(range(after + 1, total + 1))
        assert await asyncio.gather(*pulling) == [source.rows] * 2
    await stopped(*serving)
    await asyncio.sleep(0)
    assert not source.feeds._feeds
    assert not source.bell.listeners


async def test_a_batch_is_put_into_form_once_for_all_who_want_the_same() -> None:
    source = Source()
    ears = [*(Ear() for _ in range(20)), *(Ear(key="other") for _ in range(20))]
    serving = [asyncio.create_task(source.place(0).serve(ear)) for ear in ears]
    await asyncio.sleep(0.02)
    for _ in range(5):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0.005)
    for ear in ears:
        assert await told(ear, 5) == source.rows
    formed = sum((ear.forms for ear in ears), Counter[int]())
    assert formed == dict.fromkeys(range(1, 6), 2)  # one for each key
    await stopped(*serving)


async def test_one_without_room_is_told_nothing_asks_nothing_and_catches_up_in_one_go_when_it_has_room() -> None:
    source = Source()
    slow, quick = Ear(), Ear()
    serving = [asyncio.create_task(source.place(0).serve(ear)) for ear in (slow, quick)]
    await asyncio.sleep(0.02)
    slow.be_full()
    for _ in range(50):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0.001)
    assert await told(quick, 50) == source.rows
    await asyncio.sleep(0.02)
    assert slow.got == []
    looked = source.fetches
    await asyncio.sleep(0.02)
    assert source.fetches == looked
    slow.have_room()
    assert await told(slow, 50) == source.rows
    assert source.fetches - looked <= 50 / 7 + 3  # by pages
    await stopped(*serving)


async def test_a_form_that_takes_long_holds_up_those_alone_who_want_it() -> None:
    source = Source()
    waiting, quick = Ear(key="long", delay=0.2), Ear()
    serving = [asyncio.create_task(source.place(0).serve(ear)) for ear in (waiting, quick)]
    await asyncio.sleep(0.02)
    for _ in range(10):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0.003)
    assert await told(quick, 10) == source.rows
    assert waiting.got == []
    assert await told(waiting, 10) == source.rows
    await stopped(*serving)


async def test_listeners_end_when_the_feed_is_over_the_full_one_when_it_has_been_told_all() -> None:
    source = Source()
    ears = [Ear() for _ in range(3)]
    serving = [asyncio.create_task(source.place(0, ends=True).serve(ear)) for ear in ears]
    await asyncio.sleep(0.02)
    ears[0].be_full()
    source.add(3)
    source.ended = True
    source.bell.ring()
    async with asyncio.timeout(5):
        await asyncio.gather(*serving[1:])
    assert not serving[0].done()
    ears[0].have_room()
    async with asyncio.timeout(5):
        await serving[0]
    assert [ear.got for ear in ears] == [[1, 2, 3]] * 3


async def test_what_comes_while_one_batch_is_told_is_told_in_the_next() -> None:
    source = Source()
    ears = [Ear() for _ in range(300)]
    serving = [asyncio.create_task(source.place(0).serve(ear)) for ear in ears]
    await asyncio.sleep(0.1)
    for _ in range(40):
        source.add()
        source.bell.ring()
        await asyncio.sleep(0)  # a third of those to be told, at best
    for ear in ears:
        assert await told(ear, 40) == source.rows
    assert len(ears[0].forms) < 30
    await stopped(*serving)


async def test_two_hundred_thousand_deliveries_and_two_thousand_comings_and_goings_leave_no_memory_behind() -> None:
    source = Source()

    class Deaf(Ear):
        def tell(self, form: tuple[int, ...]) -> bool:
            self.got = [form[-1]]
            return True

        def form(self, batch: Batch[int]) -> Any:
            return tuple(batch.rows)

    ears = [Deaf() for _ in range(500)]
    serving = [asyncio.create_task(source.place(0).serve(ear)) for ear in ears]
    await asyncio.sleep(0.1)

    async def deliver(count: int) -> None:
        for _ in range(count):
            source.add()
            source.bell.ring()
            await told(ears[-1], len(source.rows))

    async def come_and_go(count: int) -> None:
        for _ in range(count):
            going = asyncio.create_task(source.place(ABSURD).serve(Deaf()))
            await asyncio.sleep(0.0005)
            await stopped(going)

    await deliver(20)
    await come_and_go(100)
    gc.collect()
    before = sys.getallocatedblocks()
    await deliver(400)
    await come_and_go(2_000)
    await asyncio.sleep(0.01)
    gc.collect()
    grown = sys.getallocatedblocks() - before
    await stopped(*serving)
    assert grown < 2_000  # of Python's blocks of memory; one for each coming would be seen
