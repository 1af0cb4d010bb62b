"""Types of tasks and of the columns that their queries give."""

from datetime import datetime

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.playgrounds.types as playground_types
import app.graphql.runs.types as run_types
import app.graphql.udfs.types as udf_types
from app.domain.checks.checks import checks_of
from app.domain.fields import QueryFields as QueryFieldsValue
from app.domain.outputs import OutputFormat
from app.domain.tasks import TaskType
from app.graphql.context import Info
from app.graphql.ids import to_global
from app.graphql.lazy import LazyPlayground, LazyTaskRun, LazyUdf
from app.graphql.node import Node, UserError
from app.graphql.scalars import BigInt
from app.graphql.tasks.checks import DataCheck
from app.models import Task as TaskRow
from app.services.fields import FieldsAsked


@strawberry.type(description="A column of a query's output, as its text says.")
class OutputField:
    name: str = strawberry.field(description="The label of the column.")
    expression: str = strawberry.field(description="The expression that gives it.")


@strawberry.type(description="The output columns of a query, found by reading its text.")
class QueryFields:
    columns: list[OutputField] = strawberry.field(description="The columns, in order.")
    complete: bool = strawberry.field(description="False where `*` hides columns, or the text cannot be read.")
    problem: str | None = strawberry.field(description="Why it is not complete, with line and column.")

    @classmethod
    def of(cls, value: QueryFieldsValue) -> "QueryFields":
        columns = [OutputField(name=column.name, expression=column.expression) for column in value.columns]
        return cls(columns=columns, complete=value.complete, problem=value.problem)


@strawberry.type(description="One step of a playground: a text in one of the five languages.")
class Task(Node):
    row: strawberry.Private[TaskRow]
    name: str = strawberry.field(description="Unique within the playground.")
    type: TaskType = strawberry.field(description="The language of the text.")
    query: str = strawberry.field(
        description="The text: SQL, or a PySpark script. `{{ … }}` stands for a value of the run or a parameter."
    )
    connection: str | None = strawberry.field(description="A named connection; null for the default one.")
    max_retries: int = strawberry.field(description="How often a transient failure is tried again.")
    retry_delay_ms: int = strawberry.field(description="The first delay before a retry; it doubles each time.")
    timeout_ms: BigInt | None = strawberry.field(description="How long an attempt may take; null for no limit.")
    output_format: OutputFormat = strawberry.field(description="How its output is written.")
    created_at: datetime = strawberry.field(description="When it was made.")
    modified_at: datetime = strawberry.field(description="When it was last changed.")

    @strawberry.field(description="Where it belongs.")
    async def playground(self, info: Info) -> LazyPlayground:
        row = await info.context.loaders.playground.load(self.row.playground_id)
        assert row is not None  # noqa: S101 - a foreign key
        return playground_types.Playground.of(row)

    @strawberry.field(description="What must succeed before it starts.")
    async def parents(self, info: Info) -> list["Task"]:
        return await self._neighbours(info, parents=True)

    @strawberry.field(description="What waits for it.")
    async def children(self, info: Info) -> list["Task"]:
        return await self._neighbours(info, parents=False)

    @strawberry.field(description="The functions of JARs that its text may call.")
    async def udfs(self, info: Info) -> list[LazyUdf]:
        rows = await info.context.loaders.udfs_of.load(self.row.id)
        return [udf_types.Udf.of(row) for row in rows or ()]

    @strawberry.field(description="The columns that its query gives.")
    async def fields(self, info: Info) -> QueryFields:
        playground = await info.context.loaders.playground.load(self.row.playground_id)
        asked = FieldsAsked(
            type=self.row.type, text=self.row.query, connection=self.row.connection, playground=playground
        )
        return QueryFields.of(await info.context.loaders.fields_of.load(asked))

    @strawberry.field(description="What is asked of its output, in order.")
    def checks(self) -> list[DataCheck]:
        return [DataCheck.of(each) for each in checks_of(self.row.checks)]

    @strawberry.field(description="Its newest run.")
    async def last_run(self, info: Info) -> LazyTaskRun | None:
        row = await info.context.loaders.last_task_run_of.load(self.row.id)
        return None if row is None else run_types.TaskRun.of(row)

    async def _neighbours(self, info: Info, *, parents: bool) -> list["Task"]:
        graph = await info.context.loaders.graph_of.load(self.row.playground_id)
        return [Task.of(row) for row in (graph.parents if parents else graph.children)(self.row.id)]

    @classmethod
    def of(cls, row: TaskRow) -> "Task":
        return cls(
            id=to_global("Task", row.id),
            row=row,
            name=row.name,
            type=row.type,
            query=row.query,
            connection=row.connection,
            max_retries=row.max_retries,
            retry_delay_ms=row.retry_delay_ms,
            timeout_ms=None if row.timeout_ms is None else BigInt(row.timeout_ms),
            output_format=row.output_format,
            created_at=row.created_at,
            modified_at=row.modified_at,
        )


@strawberry.type(description="A task, or why it was refused.")
class TaskPayload:
    task: Task | None = strawberry.field(description="The task as it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.input(description="A new task.")
class CreateTaskInput:
    playground_id: strawberry.ID = strawberry.field(description="Where it belongs.")
    name: str = strawberry.field(description="Unique within the playground.")
    type: TaskType = strawberry.field(description="The language of the text.")
    query: str = strawberry.field(description="The text: SQL, or a PySpark script.")
    connection: str | None = strawberry.field(default=None, description="A named connection.")
    parent_ids: list[strawberry.ID] | None = strawberry.field(
        default_factory=list, description="What must succeed before it starts."
    )
    udf_ids: list[strawberry.ID] | None = strawberry.field(
        default_factory=list, description="The UDFs that its text may call: of HIVE, SPARK_SQL and PYSPARK tasks."
    )
    max_retries: int | None = strawberry.field(default=0, description="How often to try a transient failure again.")
    retry_delay_ms: int | None = strawberry.field(default=1000, description="The first delay before a retry.")
    timeout_ms: BigInt | None = strawberry.field(default=None, description="How long an attempt may take.")
    output_format: OutputFormat | None = strawberry.field(
        default=OutputFormat.CSV, description="How to write its output."
    )


@strawberry.input(description="Changes of a task; what is left out stays as it is.")
class UpdateTaskInput:
    task_id: strawberry.ID = strawberry.field(description="Which task.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="A new name.")
    type: TaskType | None = strawberry.field(default=strawberry.UNSET, description="Another language.")
    query: str | None = strawberry.field(default=strawberry.UNSET, description="A new text.")
    connection: str | None = strawberry.field(
        default=strawberry.UNSET, description="Another connection; null for the default one."
    )
    parent_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="The whole set of parents."
    )
    udf_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="The whole set of UDFs that its text may call; null takes all away."
    )
    max_retries: int | None = strawberry.field(default=strawberry.UNSET, description="How often to retry.")
    retry_delay_ms: int | None = strawberry.field(default=strawberry.UNSET, description="The first delay.")
    timeout_ms: BigInt | None = strawberry.field(
        default=strawberry.UNSET, description="How long an attempt may take; null for no limit."
    )
    output_format: OutputFormat | None = strawberry.field(
        default=strawberry.UNSET, description="How to write its output."
    )


@strawberry.input(description="The task to delete.")
class DeleteTaskInput:
    task_id: strawberry.ID = strawberry.field(description="Which task.")


@strawberry.input(description="The whole set of a task's parents.")
class SetTaskParentsInput:
    task_id: strawberry.ID = strawberry.field(description="Which task.")
    parent_ids: list[strawberry.ID] = strawberry.field(description="What must succeed before it starts.")
