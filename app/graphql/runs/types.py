"""Types of runs, task runs, outputs and what is pushed about them."""

from datetime import datetime
from typing import Annotated

import strawberry

import app.graphql.backfills.types as backfill_types
import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.playgrounds.types as playground_types
import app.graphql.reconciliations.types as reconciliation_types
import app.graphql.tasks.types as task_types
import app.graphql.udfs.types as udf_types
from app.domain.errors import InvalidError
from app.domain.outputs import OutputFormat
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.graphql.connections import MAX_PAGE, After, Connection, Edge, PageInfo
from app.graphql.context import Info
from app.graphql.ids import position_of_cursor, to_cursor, to_global
from app.graphql.lazy import LazyBackfill, LazyPlayground, LazyReconciliationRun, LazyTakenUdf, LazyTask
from app.graphql.node import Node, UserError
from app.graphql.playgrounds.parameters import Parameter
from app.graphql.runs.outcomes import Output, TaskAttempt, TaskError, duration_ms, is_loaded
from app.graphql.scalars import BigInt
from app.graphql.tasks.checks import DataCheckResult
from app.models import Event as EventRow
from app.models import LogLine as LogLineRow
from app.models import Run as RunRow
from app.models import TaskRun as TaskRunRow
from app.services.following import Batch, Encoded
from app.store.history import EventsAsked, Texts


@strawberry.type(description="How many of a run's tasks stand where.")
class RunCounts:
    total: int = strawberry.field(description="All tasks of the snapshot.")
    success: int = strawberry.field(description="Succeeded.")
    failed: int = strawberry.field(description="Failed themselves.")
    upstream_failed: int = strawberry.field(description="Not run because something above failed.")
    skipped: int = strawberry.field(description="Left out of a limited run.")
    cancelled: int = strawberry.field(description="Cut short.")


@strawberry.type(description="One task in one run, as it was when the run started.")
class TaskRun(Node):
    row: strawberry.Private[TaskRunRow]
    name: str = strawberry.field(description="The task's name at that time.")
    type: TaskType = strawberry.field(description="The language of the text.")
    status: TaskRunStatus = strawberry.field(description="Where it stands.")
    attempt: int = strawberry.field(description="The number of the latest attempt; 0 before the first.")
    started_at: datetime | None = strawberry.field(description="When the latest attempt started.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: BigInt | None = strawberry.field(description="How long the latest attempt took.")
    engine_handle: str | None = strawberry.field(description="What names the work in its engine.")
    output_format: OutputFormat = strawberry.field(description="How its output was to be written.")
    carried_over: bool = strawberry.field(description="Whether the output is an earlier run's.")

    @strawberry.field(description="The text at that time, as its author wrote it.")
    async def query(self, info: Info) -> str:
        return (await self._texts(info)).query

    @strawberry.field(
        description="The text with its values, as the engine gets it; null where the author's is no template."
    )
    async def rendered_query(self, info: Info) -> str | None:
        return (await self._texts(info)).rendered

    @strawberry.field(description="The functions that its text could call, as they were at that time.")
    async def udfs(self, info: Info) -> list[LazyTakenUdf]:
        taken = await info.context.loaders.udfs_of_task_run.load(self.row.id)
        return [udf_types.TakenUdf.of(each) for each in taken or ()]

    @strawberry.field(description="The run that it belongs to.")
    async def run(self, info: Info) -> "Run":
        return await load_run(info, self.row)

    @strawberry.field(description="The task; null once it is deleted.")
    async def task(self, info: Info) -> LazyTask | None:
        row = None if self.row.task_id is None else await info.context.loaders.task.load(self.row.task_id)
        return None if row is None else task_types.Task.of(row)

    @strawberry.field(description="Why the latest attempt failed.")
    def error(self) -> TaskError | None:
        return TaskError.of(self.row)

    @strawberry.field(description="All attempts, the first first; a task run that was carried over has none.")
    async def attempts(self, info: Info) -> list[TaskAttempt]:
        rows = await info.context.loaders.attempts_of.load(self.row.id)
        attempts = [TaskAttempt.of(row) for row in rows or ()]
        return [*attempts, TaskAttempt.running(self.row)] if self.row.status is TaskRunStatus.RUNNING else attempts

    @strawberry.field(
        description="What its output came to by its checks, in their order; empty until it was looked at."
    )
    async def check_results(self, info: Info) -> list[DataCheckResult]:
        results = await info.context.loaders.check_results_of.load(self.row.id)
        return [DataCheckResult.of(each) for each in results or ()]

    @strawberry.field(
        description="What it has given, once it has succeeded, or has failed by a check of this very output."
    )
    def output(self) -> Output | None:
        row = self.row
        if row.output_location is None:
            return None
        return Output(
            row=row,
            location=row.output_location,
            format=row.output_format or OutputFormat.CSV,
            delimiter=row.output_delimiter or ",",
            size_bytes=BigInt(row.output_size_bytes or 0),
            row_count=BigInt(row.output_row_count or 0),
        )

    async def _texts(self, info: Info) -> Texts:
        """Lists are loaded without them."""
        if is_loaded(self.row, "query"):
            return Texts(query=self.row.query, rendered=self.row.rendered_query)
        return await info.context.loaders.texts_of.load(self.row.id) or Texts(query="", rendered=None)

    @classmethod
    def of(cls, row: TaskRunRow) -> "TaskRun":
        return cls(
            id=to_global("TaskRun", row.id),
            row=row,
            name=row.name,
            type=row.type,
            status=row.status,
            attempt=row.attempt,
            started_at=row.started_at,
            ended_at=row.ended_at,
            duration_ms=duration_ms(row.started_at, row.ended_at),
            engine_handle=row.handle,
            output_format=row.asked_format,
            carried_over=row.carried_over,
        )


@strawberry.type(description="A change of status of a run or of one of its tasks.")
class RunEvent:
    row: strawberry.Private[EventRow]
    cursor: str = strawberry.field(description="Give this as `after` to go on behind it.")
    at: datetime = strawberry.field(description="When it happened.")
    status: str = strawberry.field(description="The new status.")
    message: str | None = strawberry.field(description="What there is to say about it.")

    @strawberry.field(description="The run, as it is now.")
    async def run(self, info: Info) -> "Run":
        return await load_run(info, self.row)

    @strawberry.field(description="The task run, as it is now; null where the run itself changed.")
    async def task_run(self, info: Info) -> TaskRun | None:
        if self.row.task_run_id is None:
            return None
        row = await info.context.loaders.task_run.load(self.row.task_run_id)
        return None if row is None else TaskRun.of(row)

    @classmethod
    def of(cls, row: EventRow) -> "RunEvent":
        return cls(row=row, cursor=to_cursor(row.sequence), at=row.at, status=row.status, message=row.message)


@strawberry.type(description="One execution of a playground.")
class Run(Node):
    row: strawberry.Private[RunRow]
    number: int = strawberry.field(description="Counts the playground's runs from 1.")
    trigger: RunTrigger = strawberry.field(description="Why it was started.")
    status: RunStatus = strawberry.field(description="Where it stands.")
    message: str | None = strawberry.field(description="What there is to say about it.")
    scheduled_for: datetime | None = strawberry.field(description="The fire time that it is for.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When a worker took it up.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: BigInt | None = strawberry.field(description="From its start to its end.")
    cancel_requested: bool = strawberry.field(description="Whether cancelling was asked for.")

    @strawberry.field(description="What was run.")
    async def playground(self, info: Info) -> LazyPlayground:
        row = await info.context.loaders.playground.load(self.row.playground_id)
        assert row is not None  # noqa: S101 - a foreign key
        return playground_types.Playground.of(row)

    @strawberry.field(description="Its tasks, parents before children.")
    async def task_runs(self, info: Info) -> list[TaskRun]:
        rows = await info.context.loaders.task_runs_of.load(self.row.id)
        return [TaskRun.of(row) for row in rows or ()]

    @strawberry.field(description="How many of its tasks stand where.")
    async def counts(self, info: Info) -> RunCounts:
        counts = await info.context.loaders.counts_of.load(self.row.id) or {}
        return RunCounts(
            total=sum(counts.values()),
            success=counts.get(TaskRunStatus.SUCCESS, 0),
            failed=counts.get(TaskRunStatus.FAILED, 0),
            upstream_failed=counts.get(TaskRunStatus.UPSTREAM_FAILED, 0),
            skipped=counts.get(TaskRunStatus.SKIPPED, 0),
            cancelled=counts.get(TaskRunStatus.CANCELLED, 0),
        )

    @strawberry.field(description="The run that this one resumed.")
    async def resumed_from(self, info: Info) -> "Run | None":
        row = (
            None if self.row.resumed_from_id is None else await info.context.loaders.run.load(self.row.resumed_from_id)
        )
        return None if row is None else Run.of(row)

    @strawberry.field(description="The backfill that it is a part of.")
    async def backfill(self, info: Info) -> LazyBackfill | None:
        if self.row.backfill_id is None:
            return None
        row = await info.context.loaders.backfill.load(self.row.backfill_id)
        return None if row is None else backfill_types.Backfill.of(row)

    @strawberry.field(description="The values that stood in its tasks' texts.")
    def parameters(self) -> list[Parameter]:
        return Parameter.of(self.row.parameters)

    @strawberry.field(description="All that happened in it, the oldest first.")
    async def events(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description="How many, at most 100.")] = 50,
        after: After = None,
    ) -> Connection[RunEvent]:
        size = 50 if first is None else first
        if not 0 <= size <= MAX_PAGE:
            raise InvalidError(f"`first` is between 0 and {MAX_PAGE}; {size} is not.", path=("first",))
        position = position_of_cursor(after, path="after") or 0
        asked = EventsAsked(after=position, limit=size + 1)
        rows = await info.context.loaders.events_of.load((self.row.id, asked))
        nodes = [RunEvent.of(row) for row in rows[:size]]
        return Connection[RunEvent](
            nodes=nodes,
            edges=[Edge(cursor=node.cursor, node=node) for node in nodes],
            page_info=PageInfo(
                has_next_page=len(rows) > size,
                has_previous_page=after is not None,
                start_cursor=nodes[0].cursor if nodes else None,
                end_cursor=nodes[-1].cursor if nodes else None,
            ),
        )

    @strawberry.field(description="The comparisons in which an output of this run was a side.")
    async def reconciliation_runs(self, info: Info) -> list[LazyReconciliationRun]:
        rows = await info.context.loaders.pair_runs_of_run.load(self.row.id)
        return [reconciliation_types.ReconciliationRun.of(row) for row in rows or ()]

    @classmethod
    def of(cls, row: RunRow) -> "Run":
        return cls(
            id=to_global("Run", row.id),
            row=row,
            number=row.number,
            trigger=row.trigger,
            status=row.status,
            message=row.message,
            scheduled_for=row.scheduled_for,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            duration_ms=duration_ms(row.started_at, row.ended_at),
            cancel_requested=row.cancel_requested,
        )


@strawberry.type(description="What has happened since the last batch.")
class RunEventBatch:
    encoded: strawberry.Private[Encoded]
    cursor: str = strawberry.field(description="Give this as `after` when you come back.")
    events: list[RunEvent] = strawberry.field(description="The events, in order.")

    @classmethod
    def of(cls, batch: Batch[EventRow]) -> "RunEventBatch":
        return cls(
            encoded=batch.encoded,
            cursor=to_cursor(batch.cursor),
            events=[RunEvent.of(row) for row in batch.rows],
        )


@strawberry.type(description="A line of a task run's log.")
class LogLine:
    at: datetime = strawberry.field(description="When it was written.")
    stream: str = strawberry.field(description="Where it was written: stdout, stderr or engine.")
    text: str = strawberry.field(description="The line.")
    attempt: int = strawberry.field(description="The attempt that wrote it.")


@strawberry.type(description="The lines since the last batch.")
class LogBatch:
    encoded: strawberry.Private[Encoded]
    cursor: str = strawberry.field(description="Give this as `after` when you come back.")
    lines: list[LogLine] = strawberry.field(description="The lines, in order.")

    @classmethod
    def of(cls, batch: Batch[LogLineRow]) -> "LogBatch":
        lines = [LogLine(at=row.at, stream=row.stream, text=row.text, attempt=row.attempt) for row in batch.rows]
        return cls(encoded=batch.encoded, cursor=to_cursor(batch.cursor), lines=lines)


@strawberry.type(description="A run, or why it was refused.")
class RunPayload:
    run: Run | None = strawberry.field(description="The run as it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


async def load_run(info: Info, row: TaskRunRow | EventRow) -> Run:
    run = await info.context.loaders.run.load(row.run_id)
    assert run is not None  # noqa: S101 - a foreign key
    return Run.of(run)
