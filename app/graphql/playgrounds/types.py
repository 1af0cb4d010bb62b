"""Types of playgrounds and their schedules."""

from datetime import datetime
from itertools import islice
from typing import Annotated

import strawberry

import app.graphql.backfills.types as backfill_types
import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.reconciliations.types as reconciliation_types
import app.graphql.runs.types as run_types
import app.graphql.tasks.types as task_types
from app.domain.errors import InvalidError
from app.domain.identity import utc_now
from app.domain.playgrounds import PlaygroundStatus
from app.domain.schedule import CatchupPolicy
from app.domain.schedule import Schedule as ScheduleValue
from app.domain.status import RunStatus, RunTrigger
from app.graphql.accounts.types import User
from app.graphql.connections import After, Before, Connection, First, Last, connect, page_request
from app.graphql.context import Info
from app.graphql.ids import to_global
from app.graphql.lazy import LazyBackfill, LazyBackfillPreview, LazyReconciliation, LazyRun, LazyTask
from app.graphql.node import Node, UserError
from app.graphql.playgrounds.parameters import Parameter, ParameterInput
from app.models import Playground as PlaygroundRow
from app.services.backfills import Range
from app.services.playgrounds import schedule_of
from app.store.history import RunsAsked

MAX_FIRE_TIMES = 100
Count = Annotated[int, strawberry.argument(description="How many, at most 100.")]


@strawberry.type(description="When a playground runs by itself.")
class Schedule:
    value: strawberry.Private[ScheduleValue]
    next_fire_at: strawberry.Private[datetime | None]
    cron: str = strawberry.field(description="Five fields, six with seconds at the end, or @daily and its kin.")
    timezone: str = strawberry.field(description="The IANA time zone that the expression is read in.")
    paused: bool = strawberry.field(description="Whether it waits for being resumed.")
    catchup: CatchupPolicy = strawberry.field(description="What to do with fire times that were missed.")

    @strawberry.field(description="The schedule in words.")
    def description(self) -> str:
        return self.value.in_words()

    @strawberry.field(description="The next times at which it fires; none while it is paused.")
    def next_fire_times(self, count: Count = 5) -> list[datetime]:
        if self.value.paused:
            return []
        if count == 1 and self.next_fire_at is not None and self.next_fire_at > utc_now():
            return [self.next_fire_at]  # a list of playgrounds shows it for each of them, and telling it takes a while
        return fire_times(self.value, count)

    @classmethod
    def of(cls, value: ScheduleValue, *, next_fire_at: datetime | None) -> "Schedule":
        return cls(
            value=value,
            next_fire_at=next_fire_at,
            cron=value.cron,
            timezone=value.timezone,
            paused=value.paused,
            catchup=value.catchup,
        )


@strawberry.type(description="An edge of the graph: the child waits for the parent.")
class TaskDependency:
    parent: LazyTask = strawberry.field(description="What must succeed first.")
    child: LazyTask = strawberry.field(description="What waits.")


@strawberry.type(description="A graph of tasks that run together, with its history.")
class Playground(Node):
    row: strawberry.Private[PlaygroundRow]
    name: str = strawberry.field(description="Unique among the owner's playgrounds.")
    description: str = strawberry.field(description="What it is for.")
    created_at: datetime = strawberry.field(description="When it was made.")
    modified_at: datetime = strawberry.field(description="When its own fields were last changed.")
    status: PlaygroundStatus = strawberry.field(description="Whether a run is on.")

    @strawberry.field(description="Whose it is.")
    async def owner(self, info: Info) -> User:
        row = await info.context.loaders.user.load(self.row.owner_id)
        assert row is not None  # noqa: S101 - a foreign key
        return User.of(row)

    @strawberry.field(description="When it runs by itself; null when it does not.")
    def schedule(self) -> Schedule | None:
        value = schedule_of(self.row)
        return None if value is None else Schedule.of(value, next_fire_at=self.row.next_fire_at)

    @strawberry.field(description="Named values that may stand in its tasks' texts.")
    def parameters(self) -> list[Parameter]:
        return Parameter.of(self.row.parameters)

    @strawberry.field(description="Its tasks, in the order in which they were made.")
    async def tasks(self, info: Info) -> list[LazyTask]:
        rows = await info.context.loaders.tasks_of.load(self.row.id)
        return [task_types.Task.of(row) for row in rows or ()]

    @strawberry.field(description="The edges between its tasks.")
    async def dependencies(self, info: Info) -> list[TaskDependency]:
        rows = await info.context.loaders.tasks_of.load(self.row.id)
        tasks = {row.id: task_types.Task.of(row) for row in rows or ()}
        edges = await info.context.loaders.edges_of.load(self.row.id)
        return [
            TaskDependency(parent=tasks[edge.parent_id], child=tasks[edge.child_id])
            for edge in edges or ()
            if edge.parent_id in tasks and edge.child_id in tasks
        ]

    @strawberry.field(description="Its history, the newest run first.")
    async def runs(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        last: Last = None,
        before: Before = None,
        status: Annotated[list[RunStatus] | None, strawberry.argument(description="Only runs with these.")] = None,
        trigger: Annotated[list[RunTrigger] | None, strawberry.argument(description="Only runs of these.")] = None,
    ) -> Connection[LazyRun]:
        asked = RunsAsked(
            page=page_request(first, after, last, before),
            statuses=None if status is None else frozenset(status),
            triggers=None if trigger is None else frozenset(trigger),
        )
        page = await info.context.loaders.runs_of.load((self.row.id, asked))
        return connect(Connection[run_types.Run], page, run_types.Run.of)

    @strawberry.field(description="Its backfills, the newest first.")
    async def backfills(
        self, info: Info, first: First = 20, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[LazyBackfill]:
        request = page_request(first, after, last, before)
        page = await info.context.loaders.backfills_of.load((self.row.id, request))
        return connect(Connection[backfill_types.Backfill], page, backfill_types.Backfill.of)

    @strawberry.field(description="What a backfill of a range would run.")
    async def backfill_preview(
        self,
        info: Info,
        from_: Annotated[datetime, strawberry.argument(name="from", description="The start of the range.")],
        until: Annotated[datetime, strawberry.argument(description="The end of the range, which belongs to it.")],
        rerun: Annotated[bool, strawberry.argument(description="Whether what has succeeded runs again.")] = False,
    ) -> LazyBackfillPreview:
        plan = await info.context.services.backfills.plan(self.row, Range(start=from_, end=until, rerun=rerun))
        return backfill_types.BackfillPreview.of(plan)

    @strawberry.field(description="The newest run.")
    async def last_run(self, info: Info) -> LazyRun | None:
        row = await info.context.loaders.last_run_of.load(self.row.id)
        return None if row is None else run_types.Run.of(row)

    @strawberry.field(description="The comparisons of its tasks' outputs.")
    async def reconciliations(self, info: Info) -> list[LazyReconciliation]:
        rows = await info.context.loaders.reconciliations_of.load(self.row.id)
        return [reconciliation_types.Reconciliation.of(row) for row in rows or ()]

    @classmethod
    def of(cls, row: PlaygroundRow) -> "Playground":
        idle = row.active_run_id is None and row.active_backfill_id is None
        return cls(
            id=to_global("Playground", row.id),
            row=row,
            name=row.name,
            description=row.description,
            created_at=row.created_at,
            modified_at=row.modified_at,
            status=PlaygroundStatus.IDLE if idle else PlaygroundStatus.RUNNING,
        )


@strawberry.type(description="What a cron expression means, or why it is none.")
class SchedulePreview:
    valid: bool = strawberry.field(description="Whether it is an expression that a schedule takes.")
    error: str | None = strawberry.field(description="What is wrong with it.")
    description: str = strawberry.field(description="The expression in words; empty when it is not valid.")
    fire_times: list[datetime] = strawberry.field(description="The next times at which it would fire.")


@strawberry.type(description="A playground, or why it was refused.")
class PlaygroundPayload:
    playground: Playground | None = strawberry.field(description="The playground as it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.type(description="What was deleted, or why it was not.")
class DeletePayload:
    deleted_id: strawberry.ID | None = strawberry.field(description="The id of what is gone; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.input(description="When a playground is to run by itself.")
class ScheduleInput:
    cron: str = strawberry.field(description="Five fields, six with seconds at the end, or @daily and its kin.")
    timezone: str | None = strawberry.field(default="UTC", description="An IANA time zone, such as Europe/Berlin.")
    paused: bool | None = strawberry.field(default=False, description="Whether to wait for being resumed.")
    catchup: CatchupPolicy | None = strawberry.field(
        default=CatchupPolicy.SKIP, description="What to do with fire times that were missed."
    )

    def value(self) -> ScheduleValue:
        """Raises: InvalidError with a path below `schedule`."""
        try:
            return ScheduleValue(
                cron=self.cron,
                timezone=self.timezone or "UTC",
                paused=bool(self.paused),
                catchup=self.catchup or CatchupPolicy.SKIP,
            )
        except InvalidError as error:
            raise InvalidError(error.message, path=("schedule", *error.path)) from error


@strawberry.input(description="A new playground.")
class CreatePlaygroundInput:
    name: str = strawberry.field(description="Unique among your playgrounds.")
    description: str | None = strawberry.field(default="", description="What it is for.")
    schedule: ScheduleInput | None = strawberry.field(default=None, description="When it runs by itself.")
    parameters: list[ParameterInput] | None = strawberry.field(
        default=None, description="Named values for its tasks' texts."
    )


@strawberry.input(description="Changes of a playground; what is left out stays as it is.")
class UpdatePlaygroundInput:
    playground_id: strawberry.ID = strawberry.field(description="Which playground.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="A new name.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="A new description.")
    schedule: ScheduleInput | None = strawberry.field(
        default=strawberry.UNSET, description="A new schedule; null takes the schedule away."
    )
    parameters: list[ParameterInput] | None = strawberry.field(
        default=strawberry.UNSET, description="The whole set of parameters; null takes all away."
    )


@strawberry.input(description="The playground to delete.")
class DeletePlaygroundInput:
    playground_id: strawberry.ID = strawberry.field(description="Which playground.")


def fire_times(value: ScheduleValue, count: int) -> list[datetime]:
    """Raises: InvalidError."""
    if not 0 <= count <= MAX_FIRE_TIMES:
        raise InvalidError(f"`count` is between 0 and {MAX_FIRE_TIMES}; {count} is not.", path=("count",))
    return list(islice(value.fire_times(after=utc_now()), count))
