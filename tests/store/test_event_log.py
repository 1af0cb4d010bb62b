"""The event log: numbered without a gap and in the order of commit, whoever writes, and however often it is tried."""

import asyncio

import pytest

from app.domain.identity import utc_now
from app.domain.status import RunStatus, TaskRunStatus
from app.models import Event
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

WRITERS = 60


async def all_events(bench: Workbench, playground_id) -> list[Event]:
    async with bench.database.read() as unit:
        return list(await unit.runs.events_after(playground_id, 0, limit=10_000))


async def test_sixty_writers_at_once_leave_no_gap_and_no_double(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    other = await bench.another_process()
    committed: list[int] = []

    async def write(number: int) -> None:
        async def work(unit: UnitOfWork) -> int:
            ledger = await unit.open_ledger(playground.id)
            assert ledger is not None
            first = ledger.playground.event_sequence
            for _ in range(1 + number % 3):
                ledger.record(run_id=run.id, status=f"n{number}", at=utc_now())
            return first

        database = bench.database if number % 2 else other.database
        committed.append(await database.write(work))

    await asyncio.gather(*(write(number) for number in range(WRITERS)))
    events = await all_events(bench, playground.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    by_writer = [event.status for event in events if event.status.startswith("n")]
    assert len(by_writer) == sum(1 + number % 3 for number in range(WRITERS))
    assert len(set(committed)) == WRITERS
    runs_of_writer = [status for at, status in enumerate(by_writer) if at == 0 or by_writer[at - 1] != status]
    assert len(runs_of_writer) == WRITERS  # nobody's events stand between another's
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.event_sequence == len(events)


async def test_a_reader_never_sees_a_number_before_a_smaller_one(bench: Workbench) -> None:
    playground, _ = await bench.graph({f"t{n}": "" for n in range(12)})
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            async with bench.database.read() as unit:
                rows = await unit.runs.events_after(playground.id, seen[-1] if seen else 0, limit=1000)
            seen.extend(row.sequence for row in rows)
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    async with bench.worker(), bench.worker():
        await bench.run(playground)
    done.set()
    await reading
    last = len(await all_events(bench, playground.id))
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= last - 2


async def test_a_transaction_that_fails_uses_no_number(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    before = len(await all_events(bench, playground.id))

    async def fail(unit: UnitOfWork) -> None:
        ledger = await unit.open_ledger(playground.id)
        assert ledger is not None
        ledger.record(run_id=run.id, status="lost", at=utc_now())
        await ledger.flush()
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        await bench.database.write(fail)
    await bench.services.runs.cancel(bench.viewer, run.id)
    events = await all_events(bench, playground.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[before].status == RunStatus.PENDING
    assert "lost" not in {event.status for event in events}


async def test_a_status_is_written_as_a_compare_and_set(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    await bench.services.runs.cancel(bench.viewer, run.id)
    task_run = (await bench.task_runs(run))["a"]
    before = len(await all_events(bench, playground.id))

    async def too_late(unit: UnitOfWork) -> list[object]:
        ledger = await unit.open_ledger(playground.id)
        assert ledger is not None
        at = utc_now()
        return [
            await ledger.transition_run(run.id, RunStatus.RUNNING, at=at),
            await ledger.transition(task_run, TaskRunStatus.QUEUED, at=at),
            await ledger.transition(task_run, TaskRunStatus.RUNNING, at=at, via=TaskRunStatus.QUEUED),
            list(await ledger.transition_all(run.id, TaskRunStatus.CANCELLED, at=at)),
        ]

    assert await bench.database.write(too_late) == [False, False, False, []]
    assert len(await all_events(bench, playground.id)) == before
    assert (await bench.row(run)).status is RunStatus.CANCELLED


async def test_a_long_message_is_cut_to_its_column(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)

    async def work(unit: UnitOfWork) -> None:
        ledger = await unit.open_ledger(playground.id)
        assert ledger is not None
        ledger.record(run_id=run.id, status="PENDING", at=utc_now(), message="🐘" * 600)

    await bench.database.write(work)
    assert (await all_events(bench, playground.id))[-1].message == "🐘" * 500
