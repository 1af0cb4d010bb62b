"""What must hold of every playground once all is quiet, whatever was killed meanwhile; read from the database."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.domain.status import RUN_TRANSITIONS, TASK_RUN_TRANSITIONS, RunStatus, TaskRunStatus, roll_up
from app.models import Event, LogLine, Playground, Run, TaskAttempt, TaskRun, TaskRunEdge
from app.models.base import table_of

Row = Any
LINES_PER_ATTEMPT = 10_000_000


@dataclass(kw_only=True)
class Records:
    """All that a database knows of runs, by what it belongs to."""

    playgrounds: Sequence[Row]
    runs: Mapping[UUID, Sequence[Row]]  # by playground
    task_runs: Mapping[UUID, Sequence[Row]]  # by run
    parents: Mapping[UUID, Sequence[UUID]]
    attempts: Mapping[UUID, Sequence[Row]]  # by task run, in order
    events: Mapping[UUID, Sequence[Row]]  # by playground, in order
    events_of: Mapping[UUID, Sequence[Row]] = field(default_factory=dict)  # by task run, or by run of the run itself
    last_lines: Mapping[UUID, Sequence[Row]] = field(default_factory=dict)  # the log's numbers, by task run

    @property
    def tally(self) -> dict[str, int]:
        runs = [run for rows in self.runs.values() for run in rows]
        task_runs = [row for rows in self.task_runs.values() for row in rows]
        attempts = [row for rows in self.attempts.values() for row in rows]
        return {
            "runs": len(runs),
            "tasks": len(task_runs),
            "attempts": len(attempts),
            "lost attempts": sum(row.error_code == "WORKER_LOST" for row in attempts),
            "handed over": sum(row.error_code == "HANDED_OVER" for row in attempts),
            "retries": sum(max(row.attempt - 1 - row.losses, 0) for row in task_runs),
            "events": sum(len(rows) for rows in self.events.values()),
        }


async def read_records(url: str | URL) -> Records:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await _read(connection)
    finally:
        await engine.dispose()


async def _read(connection: AsyncConnection) -> Records:
    async def rows(model: Any, *order: Any) -> Sequence[Row]:
        return (await connection.execute(select(table_of(model)).order_by(*order))).all()

    events = await rows(Event, Event.playground_id, Event.sequence)
    edges = await rows(TaskRunEdge)
    lines = select(LogLine.task_run_id, LogLine.sequence, LogLine.attempt).order_by(LogLine.task_run_id)
    parents: dict[UUID, list[UUID]] = defaultdict(list)
    for edge in edges:
        parents[edge.child_id].append(edge.parent_id)
    return Records(
        playgrounds=await rows(Playground),
        runs=_by("playground_id", await rows(Run, Run.number)),
        task_runs=_by("run_id", await rows(TaskRun, TaskRun.position)),
        parents=parents,
        attempts=_by("task_run_id", await rows(TaskAttempt, TaskAttempt.attempt)),
        events=_by("playground_id", events),
        events_of=_by_subject(events),
        last_lines=_by("task_run_id", (await connection.execute(lines)).all()),
    )


def _by(column: str, rows: Iterable[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        found[getattr(row, column)].append(row)
    return found


def _by_subject(events: Iterable[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for event in events:
        found[event.task_run_id or event.run_id].append(event)
    return found


def violations(records: Records, *, outputs: Path | None = None) -> list[str]:
    """What does not hold, in words; `outputs` is the folder of the output store."""
    return [
        f"{playground.name}: {fault}"
        for playground in records.playgrounds
        for fault in _of_playground(records, playground, outputs)
    ]


def _of_playground(records: Records, playground: Row, outputs: Path | None) -> Iterator[str]:
    if playground.active_run_id is not None:
        yield f"run {playground.active_run_id} is still the active one"
    numbers = [event.sequence for event in records.events.get(playground.id, ())]
    if numbers != list(range(1, playground.event_sequence + 1)):
        yield f"its {len(numbers)} events are not numbered 1 to {playground.event_sequence}"
    runs = records.runs.get(playground.id, ())
    if [run.number for run in runs] != list(range(1, playground.last_run_number + 1)):
        yield f"its runs are not numbered 1 to {playground.last_run_number}"
    for run in runs:
        for fault in _of_run(records, run):
            yield f"run {run.number}: {fault}"
        for task_run in records.task_runs.get(run.id, ()):
            for fault in _of_task_run(records, task_run, outputs):
                yield f"run {run.number}, {task_run.name}: {fault}"


def _of_run(records: Records, run: Row) -> Iterator[str]:
    if not run.status.ended:
        yield f"it is {run.status}"
    if (run.ended_at is None) == run.status.ended:
        yield f"it is {run.status}, and its end is {run.ended_at}"
    told = [RunStatus(event.status) for event in records.events_of.get(run.id, ())]
    steps = [status for at, status in enumerate(told) if at == 0 or told[at - 1] is not status]  # «asked to cancel»
    skipped = run.started_at is None and run.scheduled_for is not None  # a fire that found something in its way
    if steps[:1] != [RunStatus.CANCELLED if skipped else RunStatus.PENDING]:
        yield f"its events begin with {steps[:1]}"
    yield from _illegal(steps, RUN_TRANSITIONS)
    if steps[-1:] != [run.status]:
        yield f"it is {run.status}, and its events end with {steps[-1:]}"
    statuses = [row.status for row in records.task_runs.get(run.id, ())]
    expected = roll_up(statuses, cancel_requested=run.cancel_requested)
    if statuses and run.status.ended and run.status is not expected:
        yield f"it is {run.status}, and its tasks roll up to {expected}"


def _of_task_run(records: Records, row: Row, outputs: Path | None) -> Iterator[str]:
    if not row.status.ended:
        yield f"it is {row.status}, of worker {row.worker_id}"
    if row.worker_id is not None:
        yield f"worker {row.worker_id} still holds it"
    events = records.events_of.get(row.id, ())
    told = [TaskRunStatus(event.status) for event in events]
    if not row.carried_over:
        yield from _illegal([TaskRunStatus.PENDING, *told], TASK_RUN_TRANSITIONS)
    if told[-1:] != [row.status]:
        yield f"it is {row.status}, and its events end with {told[-1:]}"
    started = [event.attempt for event in events if event.status == TaskRunStatus.RUNNING]
    if started != list(range(1, row.attempt + 1)):
        yield f"its events tell of the attempts {started}, and it has had {row.attempt}"
    yield from _of_attempts(row, records.attempts.get(row.id, ()))
    yield from _of_lines(row, records.last_lines.get(row.id, ()))
    yield from _of_parents(records, row, events)
    if row.status is TaskRunStatus.SUCCESS and outputs is not None:
        yield from _of_output(row, outputs)


def _of_attempts(row: Row, attempts: Sequence[Row]) -> Iterator[str]:
    numbers = [attempt.attempt for attempt in attempts]
    if numbers != list(range(1, row.attempt + 1)):
        yield f"its outcomes are of the attempts {numbers}, and it has had {row.attempt}"
    good = [attempt.attempt for attempt in attempts if attempt.status is TaskRunStatus.SUCCESS]
    if row.carried_over:
        return
    if good != ([row.attempt] if row.status is TaskRunStatus.SUCCESS else []):
        yield f"it is {row.status} after {row.attempt} attempts, of which {good} succeeded"
    if row.status is TaskRunStatus.FAILED and (not attempts or attempts[-1].error_code != row.error_code):
        yield f"it failed with {row.error_code}, and its last attempt did not"


def _of_lines(row: Row, lines: Sequence[Row]) -> Iterator[str]:
    """Numbers are unique by their key; each attempt has a range of its own."""
    for line in lines:
        if not 1 <= line.attempt <= row.attempt or line.sequence // LINES_PER_ATTEMPT != line.attempt:
            yield f"line {line.sequence} of its log is of attempt {line.attempt} of {row.attempt}"
            return


def _of_parents(records: Records, row: Row, events: Sequence[Row]) -> Iterator[str]:
    began = next((event.sequence for event in events if event.status == TaskRunStatus.RUNNING), None)
    for parent_id in records.parents.get(row.id, ()):
        parent = records.events_of.get(parent_id, ())
        ended = parent[-1].sequence if parent and parent[-1].status == TaskRunStatus.SUCCESS else None
        if began is not None and (ended is None or ended > began):
            yield f"it began at event {began}, and its parent {parent_id} succeeded at {ended}"
        if row.status is TaskRunStatus.UPSTREAM_FAILED and not parent:
            yield f"it is UPSTREAM_FAILED, and its parent {parent_id} has no event"


def _of_output(row: Row, outputs: Path) -> Iterator[str]:
    if row.output_location is None:
        yield "it has no output"
        return
    path = outputs / row.output_location
    size = path.stat().st_size if path.is_file() else None
    if size != row.output_size_bytes:
        yield f"its output has {size} bytes, and {row.output_size_bytes} are recorded"


def _illegal(told: Sequence[Any], transitions: Mapping[Any, frozenset[Any]]) -> Iterator[str]:
    for source, target in pairwise(told):
        if target not in transitions[source]:
            yield f"its events tell of {source} to {target}: {[str(status) for status in told]}"
            return


async def assert_invariants(url: str | URL, *, outputs: Path | None = None) -> Records:
    """Read everything, and complain of all that does not hold."""
    records = await read_records(url)
    faults = violations(records, outputs=outputs)
    assert not faults, "\n".join(faults)
    return records
