"""Types of what a task run comes to: its attempts, errors and outputs."""

from datetime import datetime
from typing import Annotated

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.domain.errors import InvalidError
from app.domain.identity import utc_now
from app.domain.outputs import OutputFormat
from app.domain.status import TaskRunStatus
from app.graphql.context import Info
from app.graphql.scalars import BigInt
from app.models import TaskAttempt as TaskAttemptRow
from app.models import TaskRun as TaskRunRow
from app.outputs.base import PreviewTable
from app.services.runs import refuse_pruned

Limit = Annotated[int, strawberry.argument(description="How many rows, at most 1000.")]
MAX_PREVIEW = 1000


@strawberry.type(description="Why a task failed.")
class TaskError:
    code: str = strawberry.field(description="A short word such as SYNTAX, TIMEOUT or WORKER_LOST.")
    message: str = strawberry.field(description="What is wrong, and what to do next.")
    retriable: bool = strawberry.field(description="Whether another attempt may succeed.")

    @classmethod
    def of(cls, row: TaskRunRow | TaskAttemptRow) -> "TaskError | None":
        if row.error_code is None:
            return None
        return cls(code=row.error_code, message=row.error_message or "", retriable=bool(row.error_retriable))


@strawberry.type(description="A column of an output.")
class OutputColumn:
    name: str = strawberry.field(description="The query's own label.")
    type: str = strawberry.field(description="The engine's name of the type.")


@strawberry.type(description="The first rows of an output.")
class Preview:
    columns: list[str] = strawberry.field(description="The labels.")
    rows: list[list[str | None]] = strawberry.field(description="The cells as text; null is SQL's NULL.")
    truncated: bool = strawberry.field(description="Whether there are more rows.")

    @classmethod
    def of(cls, table: PreviewTable) -> "Preview":
        return cls(columns=list(table.columns), rows=table.rows, truncated=table.truncated)


@strawberry.type(description="What a task run has given.")
class Output:
    row: strawberry.Private[TaskRunRow]
    location: str = strawberry.field(description="Where it lies in the output store.")
    format: OutputFormat = strawberry.field(description="How it is written.")
    delimiter: str = strawberry.field(description="What parts the cells of a CSV file.")
    size_bytes: BigInt = strawberry.field(description="The size of the file.")
    row_count: BigInt = strawberry.field(description="Rows, the header not counted.")

    @strawberry.field(description="When the rules of retention have deleted the file; null while it is there.")
    def pruned_at(self) -> datetime | None:
        return self.row.output_pruned_at

    @strawberry.field(description="The columns, in order.")
    async def columns(self, info: Info) -> list[OutputColumn]:
        if is_loaded(self.row, "output_columns"):
            columns = self.row.output_columns
        else:
            columns = await info.context.loaders.output_columns_of.load(self.row.id)
        return [OutputColumn(name=column["name"], type=column["type"]) for column in columns or ()]

    @strawberry.field(description="The first rows; only the start of the file is read.")
    async def preview(self, info: Info, limit: Limit = 100) -> Preview:
        refuse_pruned(self.row)
        return await preview_of(info, self.location, self.format, self.delimiter, limit)

    @strawberry.field(description="Where a browser gets the whole file, for an hour.")
    def download_url(self, info: Info) -> str:
        return info.context.services.downloads.url_for(self.location, filename=f"{self.row.name}.{self.format.lower()}")


@strawberry.type(description="One try at a task run.")
class TaskAttempt:
    number: int = strawberry.field(description="Counts the attempts of the task run from 1.")
    status: TaskRunStatus = strawberry.field(description="RUNNING, or how it ended.")
    started_at: datetime = strawberry.field(description="When it started.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    duration_ms: BigInt | None = strawberry.field(description="How long it took.")
    worker: str | None = strawberry.field(description="The id of the worker that made it.")
    engine_handle: str | None = strawberry.field(description="What named the work in its engine.")
    error: TaskError | None = strawberry.field(description="Why it failed.")
    output_location: str | None = strawberry.field(description="Where its output lies in the output store.")

    @classmethod
    def of(cls, row: TaskAttemptRow) -> "TaskAttempt":
        return cls(
            number=row.attempt,
            status=row.status,
            started_at=row.started_at,
            ended_at=row.ended_at,
            duration_ms=duration_ms(row.started_at, row.ended_at),
            worker=None if row.worker_id is None else str(row.worker_id),
            engine_handle=row.handle,
            error=TaskError.of(row),
            output_location=row.output_location,
        )

    @classmethod
    def running(cls, row: TaskRunRow) -> "TaskAttempt":
        """The one that has not ended yet."""
        return cls(
            number=row.attempt,
            status=row.status,
            started_at=row.started_at or row.queued_at or utc_now(),
            ended_at=None,
            duration_ms=None,
            worker=None if row.worker_id is None else str(row.worker_id),
            engine_handle=row.handle,
            error=None,
            output_location=None,
        )


def duration_ms(start: datetime | None, end: datetime | None) -> BigInt | None:
    return None if start is None or end is None else BigInt(round((end - start).total_seconds() * 1000))


async def preview_of(info: Info, location: str, format: OutputFormat, delimiter: str, limit: int) -> Preview:
    """Raises: InvalidError, NotFoundError."""
    if not 1 <= limit <= MAX_PREVIEW:
        raise InvalidError(f"`limit` is between 1 and {MAX_PREVIEW}; {limit} is not.", path=("limit",))
    table = await info.context.services.outputs.preview(location, format=format, delimiter=delimiter, limit=limit)
    return Preview.of(table)


def is_loaded(row: TaskRunRow, column: str) -> bool:
    """Whether a row was loaded with this column: lists are loaded without what makes them long."""
    return column in row.__dict__
