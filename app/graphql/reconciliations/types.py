"""Types of reconciliations, their runs and their results."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.playgrounds.types as playground_types
import app.graphql.runs.types as run_types
import app.graphql.tasks.types as task_types
from app.domain.errors import InvalidError
from app.domain.reconciliation.options import ReconciliationMethod
from app.domain.reconciliation.options import ReconciliationOptions as OptionsValue
from app.domain.reconciliation.result import DifferenceKind
from app.domain.status import ReconciliationStatus
from app.graphql.connections import After, Before, Connection, First, Last, connect, page_request
from app.graphql.context import Info
from app.graphql.ids import to_cursor, to_global
from app.graphql.lazy import LazyPlayground, LazyRun, LazyTask, LazyTaskRun
from app.graphql.node import Node, UserError
from app.graphql.runs.outcomes import TaskError, duration_ms
from app.graphql.scalars import BigInt
from app.models import Reconciliation as ReconciliationRow
from app.models import ReconciliationEvent as EventRow
from app.models import ReconciliationRun as RunRow
from app.services.following import Batch, Encoded
from app.services.reconciliations import mapping_of, options_of

MAX_SAMPLES = 100


@strawberry.type(description="A column of the left side and its counterpart.")
class ColumnMapping:
    left: str = strawberry.field(description="The left side's label.")
    right: str = strawberry.field(description="The right side's label.")
    key: bool = strawberry.field(description="Whether it helps to name a row.")


@strawberry.type(description="How much may differ for the outcome to count as matched.")
class PassRule:
    max_differing_rows: BigInt = strawberry.field(description="0 leaves it unset.")
    max_differing_percent: float = strawberry.field(description="Of all rows, 0 to 100; 0 leaves it unset.")


@strawberry.type(description="What counts as equal, and how the answer is found.")
class ReconciliationOptions:
    absolute_tolerance: float = strawberry.field(description="Numbers this near are equal.")
    relative_tolerance: float = strawberry.field(description="Numbers this near are equal; 0.01 is 1 %.")
    ignore_case: bool = strawberry.field(description="Whether upper and lower case are the same.")
    trim: bool = strawberry.field(description="Whether white space around a text is left out.")
    empty_is_null: bool = strawberry.field(description="Whether the empty text is the same as NULL.")
    method: ReconciliationMethod | None = strawberry.field(description="Null chooses by size.")
    verify: bool = strawberry.field(description="False with BLOOM gives a quick answer that has an error bound.")
    pass_when: PassRule = strawberry.field(description="How much may differ.")

    @classmethod
    def of(cls, value: OptionsValue) -> "ReconciliationOptions":
        rule = value.pass_when
        return cls(
            absolute_tolerance=value.absolute_tolerance,
            relative_tolerance=value.relative_tolerance,
            ignore_case=value.ignore_case,
            trim=value.trim,
            empty_is_null=value.empty_is_null,
            method=value.method,
            verify=value.verify,
            pass_when=PassRule(
                max_differing_rows=BigInt(rule.max_differing_rows), max_differing_percent=rule.max_differing_percent
            ),
        )


@strawberry.type(description="How often a column differs within changed rows.")
class ColumnDifference:
    left: str = strawberry.field(description="The left side's label.")
    right: str = strawberry.field(description="The right side's label.")
    differing_row_count: BigInt = strawberry.field(description="Changed rows in which it differs.")
    max_absolute_difference: float | None = strawberry.field(description="The greatest distance between numbers.")


@strawberry.type(description="Equal rows, or pairs of rows, of one kind.")
class RowDifference:
    kind: DifferenceKind = strawberry.field(description="How they differ.")
    key: list[str | None] | None = strawberry.field(description="The cells of the key; null without keys.")
    left: list[str | None] | None = strawberry.field(description="The left side's cells, in the mapping's order.")
    right: list[str | None] | None = strawberry.field(description="The right side's cells, in the mapping's order.")
    changed_columns: list[str] = strawberry.field(description="What differs, by the left side's labels.")
    left_count: BigInt = strawberry.field(description="How often the key (or the row) stands on the left.")
    right_count: BigInt = strawberry.field(description="How often the key (or the row) stands on the right.")


@strawberry.type(description="What a comparison has found.")
class ReconciliationResult:
    row: strawberry.Private[RunRow]
    matched: bool = strawberry.field(description="Whether it is within passWhen.")
    left_row_count: BigInt = strawberry.field(description="Rows of the left side.")
    right_row_count: BigInt = strawberry.field(description="Rows of the right side.")
    common_row_count: BigInt = strawberry.field(description="Rows that both sides have.")
    changed_row_count: BigInt = strawberry.field(description="Rows with the same key and other values.")
    left_only_row_count: BigInt = strawberry.field(description="Rows that only the left side has.")
    right_only_row_count: BigInt = strawberry.field(description="Rows that only the right side has.")
    exact: bool = strawberry.field(description="False only where an answer without verification was asked for.")
    false_positive_rate: float | None = strawberry.field(description="Where it is not exact: the bound that held.")
    columns: list[ColumnDifference] = strawberry.field(description="The mapped columns that are no key.")
    warnings: list[str] = strawberry.field(description="What one should know about the comparison, in sentences.")

    @strawberry.field(description="The first differing rows of a kind, by key and cells.")
    async def samples(
        self,
        info: Info,
        kind: Annotated[DifferenceKind, strawberry.argument(description="Which rows.")],
        limit: Annotated[int, strawberry.argument(description="How many, at most 100.")] = 100,
    ) -> list[RowDifference]:
        if not 0 <= limit <= MAX_SAMPLES:
            raise InvalidError(f"`limit` is between 0 and {MAX_SAMPLES}; {limit} is not.", path=("limit",))
        samples = await info.context.loaders.samples_of.load(self.row.id) or {}
        return [_row_difference(kind, document) for document in samples.get(kind.value, ())[:limit]]

    @strawberry.field(description="Where a browser gets every differing row as CSV, for an hour.")
    def differences_url(self, info: Info) -> str:
        return info.context.services.downloads.url_for(self.row.differences_location or "", filename="differences.csv")

    @strawberry.field(description="The size of that file.")
    def differences_size_bytes(self) -> BigInt:
        return BigInt(self.row.differences_size_bytes or 0)

    @strawberry.field(description="When the rules of retention have deleted that file; null while it is there.")
    def differences_pruned_at(self) -> datetime | None:
        return self.row.differences_pruned_at

    @strawberry.field(description="Where a browser gets the report, an HTML file to send to a colleague, for an hour.")
    def report_url(self, info: Info) -> str:
        return info.context.services.reports.url_for(self.row.id, owner_id=info.context.signed_in().user_id)

    @classmethod
    def of(cls, row: RunRow) -> "ReconciliationResult | None":
        document: dict[str, Any] | None = row.result
        if document is None:
            return None
        counts = {
            name: BigInt(document[name])
            for name in (
                "left_row_count",
                "right_row_count",
                "common_row_count",
                "changed_row_count",
                "left_only_row_count",
                "right_only_row_count",
            )
        }
        return cls(
            row=row,
            matched=document["matched"],
            exact=document["exact"],
            false_positive_rate=document["false_positive_rate"],
            columns=[ColumnDifference(**column) for column in document["columns"]],
            warnings=document["warnings"],
            **counts,
        )


@strawberry.type(description="A comparison of the outputs of two tasks.")
class Reconciliation(Node):
    row: strawberry.Private[ReconciliationRow]
    mapping: list[ColumnMapping] = strawberry.field(description="Which columns belong together.")
    options: ReconciliationOptions = strawberry.field(description="What counts as equal.")

    @strawberry.field(description="Where it belongs.")
    async def playground(self, info: Info) -> LazyPlayground:
        row = await info.context.loaders.playground.load(self.row.playground_id)
        assert row is not None  # noqa: S101 - a foreign key
        return playground_types.Playground.of(row)

    @strawberry.field(description="The task of the left side.")
    async def left(self, info: Info) -> LazyTask:
        row = await info.context.loaders.task.load(self.row.left_task_id)
        assert row is not None  # noqa: S101 - a foreign key
        return task_types.Task.of(row)

    @strawberry.field(description="The task of the right side.")
    async def right(self, info: Info) -> LazyTask:
        row = await info.context.loaders.task.load(self.row.right_task_id)
        assert row is not None  # noqa: S101 - a foreign key
        return task_types.Task.of(row)

    @strawberry.field(description="Its history, the newest first.")
    async def runs(
        self, info: Info, first: First = 20, after: After = None, last: Last = None, before: Before = None
    ) -> Connection["ReconciliationRun"]:
        request = page_request(first, after, last, before)
        page = await info.context.loaders.pair_runs_of.load((self.row.id, request))
        return connect(Connection[ReconciliationRun], page, ReconciliationRun.of)

    @strawberry.field(description="The newest run.")
    async def last_run(self, info: Info) -> "ReconciliationRun | None":
        row = await info.context.loaders.last_pair_run_of.load(self.row.id)
        return None if row is None else ReconciliationRun.of(row)

    @classmethod
    def of(cls, row: ReconciliationRow) -> "Reconciliation":
        return cls(
            id=to_global("Reconciliation", row.id),
            row=row,
            mapping=[ColumnMapping(**document) for document in row.mapping],
            options=ReconciliationOptions.of(options_of(row.options)),
        )


@strawberry.type(description="One comparison of two outputs.")
class ReconciliationRun(Node):
    row: strawberry.Private[RunRow]
    status: ReconciliationStatus = strawberry.field(description="Where it stands.")
    method: ReconciliationMethod | None = strawberry.field(description="How the answer was found.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When a worker took it up.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: BigInt | None = strawberry.field(description="From its start to its end.")
    progress: float = strawberry.field(description="The share of the bytes that is read, 0 to 1.")

    @strawberry.field(description="What was compared.")
    async def reconciliation(self, info: Info) -> Reconciliation:
        row = await info.context.loaders.reconciliation.load(self.row.reconciliation_id)
        assert row is not None  # noqa: S101 - a foreign key
        return Reconciliation.of(row)

    @strawberry.field(description="The run after which it was made; null where somebody has asked for it.")
    async def run(self, info: Info) -> LazyRun | None:
        row = None if self.row.run_id is None else await info.context.loaders.run.load(self.row.run_id)
        return None if row is None else run_types.Run.of(row)

    @strawberry.field(description="The very output of the left side.")
    async def left_task_run(self, info: Info) -> LazyTaskRun:
        row = await info.context.loaders.task_run.load(self.row.left_task_run_id)
        assert row is not None  # noqa: S101 - a foreign key
        return run_types.TaskRun.of(row)

    @strawberry.field(description="The very output of the right side.")
    async def right_task_run(self, info: Info) -> LazyTaskRun:
        row = await info.context.loaders.task_run.load(self.row.right_task_run_id)
        assert row is not None  # noqa: S101 - a foreign key
        return run_types.TaskRun.of(row)

    @strawberry.field(description="Which columns were taken to belong together.")
    def mapping(self) -> list[ColumnMapping]:
        return [ColumnMapping(left=m.left, right=m.right, key=m.key) for m in mapping_of(self.row.mapping)]

    @strawberry.field(description="Why it failed.")
    def error(self) -> TaskError | None:
        if self.row.error_code is None:
            return None
        return TaskError(code=self.row.error_code, message=self.row.error_message or "", retriable=False)

    @strawberry.field(description="What it has found, once it has succeeded.")
    def result(self) -> ReconciliationResult | None:
        return ReconciliationResult.of(self.row)

    @classmethod
    def of(cls, row: RunRow) -> "ReconciliationRun":
        method = row.result["method"] if row.result else row.options.get("method")
        return cls(
            id=to_global("ReconciliationRun", row.id),
            row=row,
            status=row.status,
            method=None if method is None else ReconciliationMethod(method),
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            duration_ms=duration_ms(row.started_at, row.ended_at),
            progress=row.progress,
        )


@strawberry.type(description="A change of a reconciliation run.")
class ReconciliationEvent:
    row: strawberry.Private[EventRow]
    cursor: str = strawberry.field(description="Give this as `after` to go on behind it.")
    at: datetime = strawberry.field(description="When it happened.")
    status: ReconciliationStatus = strawberry.field(description="The status then.")
    progress: float = strawberry.field(description="The share of the bytes that was read then.")
    message: str | None = strawberry.field(description="What there is to say about it.")

    @strawberry.field(description="The run, as it is now.")
    async def reconciliation_run(self, info: Info) -> ReconciliationRun:
        row = await info.context.loaders.pair_run.load(self.row.reconciliation_run_id)
        assert row is not None  # noqa: S101 - a foreign key
        return ReconciliationRun.of(row)

    @classmethod
    def of(cls, row: EventRow) -> "ReconciliationEvent":
        return cls(
            row=row,
            cursor=to_cursor(row.sequence),
            at=row.at,
            status=row.status,
            progress=row.progress,
            message=row.message,
        )


@strawberry.type(description="What has happened since the last batch.")
class ReconciliationEventBatch:
    encoded: strawberry.Private[Encoded]
    cursor: str = strawberry.field(description="Give this as `after` when you come back.")
    events: list[ReconciliationEvent] = strawberry.field(description="The events, in order.")

    @classmethod
    def of(cls, batch: Batch[EventRow]) -> "ReconciliationEventBatch":
        events = [ReconciliationEvent.of(row) for row in batch.rows]
        return cls(encoded=batch.encoded, cursor=to_cursor(batch.cursor), events=events)


@strawberry.type(description="A reconciliation, or why it was refused.")
class ReconciliationPayload:
    reconciliation: Reconciliation | None = strawberry.field(description="As it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.type(description="A reconciliation run, or why it was refused.")
class ReconciliationRunPayload:
    reconciliation_run: ReconciliationRun | None = strawberry.field(description="As it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


def _row_difference(kind: DifferenceKind, document: dict[str, Any]) -> RowDifference:
    return RowDifference(
        kind=kind,
        key=document["key"],
        left=document["left"],
        right=document["right"],
        changed_columns=document["changed_columns"],
        left_count=BigInt(document["left_count"]),
        right_count=BigInt(document["right_count"]),
    )
