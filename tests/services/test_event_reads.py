"""Reads of the event log for many feeds: one statement for those that come together, and to each its own rows."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.domain.identity import utc_now
from app.models import Event, Playground, Run
from app.services import event_reads
from app.services.event_reads import EventReads
from app.services.following import Batch
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

MANY = 40


@contextmanager
def statements(bench: Workbench) -> Iterator[list[str]]:
    """What is read from the event log meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM event" in statement:
            seen.append(statement)

    engine = bench.database._readers.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def runs(bench: Workbench, count: int) -> list[tuple[Playground, Run]]:
    """Playgrounds, each with a run that nobody takes up."""
    playgrounds = [(await bench.graph({"a": ""}))[0] for _ in range(count)]
    return [(playground, await bench.launch(playground)) for playground in playgrounds]


async def record(bench: Workbench, pairs: Sequence[tuple[Playground, Run]], message: str, *, times: int = 1) -> None:
    """The same happens in all these runs, in one transaction."""

    async def work(unit: UnitOfWork) -> None:
        for playground, run in pairs:
            ledger = await unit.open_ledger(playground.id)
            assert ledger is not None
            for _ in range(times):
                ledger.record(run_id=run.id, status="RUNNING", at=utc_now(), message=message)

    await bench.database.write(work)


class Ear:
    """A listener that always has room."""

    key = "same"

    def __init__(self) -> None:
        self.messages: list[str | None] = []

    def form(self, batch: Batch[Event]) -> Sequence[Event]:
        return batch.rows

    def tell(self, form: Sequence[Event]) -> bool:
        self.messages += [row.message for row in form]
        return True

    async def ready(self) -> None:
        pass


async def test_what_happens_in_many_runs_at_once_is_read_by_a_few_statements_and_told_to_each(bench: Workbench) -> None:
    pairs = await runs(bench, MANY)
    ears = [Ear() for _ in pairs]
    feeds = bench.services.run_feeds
    serving = [
        asyncio.create_task(feeds.run(bench.viewer, run.id, after=None).serve(ear))
        for (_, run), ear in zip(pairs, ears, strict=True)
    ]

    async def told(message: str) -> None:
        async def all_told() -> bool:
            return all(ear.messages and ear.messages[-1] == message for ear in ears)

        await bench.until(all_told)

    try:
        await record(bench, pairs, "first")
        await told("first")
        await asyncio.sleep(0.3)
        with statements(bench) as seen:
            await record(bench, pairs, "second")
            await told("second")
        assert 0 < len(seen) < MANY / 5
        assert all(ear.messages[-2:] == ["first", "second"] for ear in ears)
    finally:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@pytest.mark.parametrize("rows", [2_000, 5])
async def test_reads_together_find_what_each_finds_alone(
    bench: Workbench, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reads, "ROWS", rows)
    monkeypatch.setattr(event_reads, "PLACES", 8)
    chance = random.Random(rows)  # noqa: S311 - a test that can be repeated
    pairs = await runs(bench, 12)
    for number in range(10):
        await record(bench, chance.sample(pairs, 5), f"round {number}", times=chance.randrange(1, 4))
    reads = EventReads(database=bench.database)
    asked: list[tuple[UUID, int, int, UUID | None]] = []
    for _ in range(60):
        playground, own = chance.choice(pairs)
        asked.append((playground.id, chance.randrange(8), chance.choice([1, 3, 500]), chance.choice([None, own.id])))
    async with asyncio.timeout(20):
        found = await asyncio.gather(
            *(reads.events_after(key, after, limit=limit, run_id=run) for key, after, limit, run in asked)
        )
    for (key, after, limit, run), rows_found in zip(asked, found, strict=True):
        async with bench.database.read() as unit:
            alone = await unit.runs.events_after(key, after, limit=limit, run_id=run)
        assert [row.sequence for row in rows_found] == [row.sequence for row in alone]
        assert {row.playground_id for row in rows_found} <= {key}


async def test_a_read_that_fails_fails_for_all_who_asked_and_for_nobody_after(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (playground, _), (other, _) = await runs(bench, 2)
    reads = EventReads(database=bench.database)

    def away() -> Any:
        raise OperationalError("SELECT", None, Exception("gone"))

    with monkeypatch.context() as patched:
        patched.setattr(bench.database, "read", away)
        failed = await asyncio.gather(
            *(reads.events_after(each.id, 0, limit=10) for each in (playground, other)), return_exceptions=True
        )
    assert [type(error) for error in failed] == [OperationalError, OperationalError]
    assert await reads.events_after(playground.id, 0, limit=10)


async def test_one_who_goes_away_while_waiting_takes_nothing_from_the_others(bench: Workbench) -> None:
    (playground, _), (other, _) = await runs(bench, 2)
    reads = EventReads(database=bench.database)
    going = asyncio.create_task(reads.events_after(playground.id, 0, limit=10))
    staying = asyncio.create_task(reads.events_after(other.id, 0, limit=10))
    await asyncio.sleep(0)
    going.cancel()
    assert {row.playground_id for row in await staying} == {other.id}
    with pytest.raises(asyncio.CancelledError):
        await going
