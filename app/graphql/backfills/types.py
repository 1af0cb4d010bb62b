"""Types of backfills: runs of a playground for a range of past fire times."""

from datetime import datetime

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
import app.graphql.playgrounds.types as playground_types
import app.graphql.runs.types as run_types
from app.domain.status import BackfillStatus, RunStatus
from app.graphql.connections import After, Before, Connection, First, Last, connect, page_request
from app.graphql.context import Info
from app.graphql.ids import to_global
from app.graphql.lazy import LazyPlayground, LazyRun
from app.graphql.node import Node, UserError
from app.models import Backfill as BackfillRow
from app.services.backfills import Plan


@strawberry.type(description="How many of a backfill's fire times stand where.")
class BackfillCounts:
    waiting: int = strawberry.field(description="Not started yet.")
    running: int = strawberry.field(description="Runs that are on.")
    success: int = strawberry.field(description="Runs that succeeded.")
    partial_success: int = strawberry.field(description="Runs of which a part succeeded.")
    failed: int = strawberry.field(description="Runs that failed.")
    cancelled: int = strawberry.field(description="Runs that were cancelled, or could not be started.")


@strawberry.type(description="Runs of a playground for a range of past fire times of its schedule.")
class Backfill(Node):
    row: strawberry.Private[BackfillRow]
    status: BackfillStatus = strawberry.field(description="Where it stands.")
    from_: datetime = strawberry.field(name="from", description="The start of the range.")
    until: datetime = strawberry.field(description="The end of the range, which belongs to it.")
    cron: str = strawberry.field(description="The schedule's expression when the backfill was started.")
    timezone: str = strawberry.field(description="The time zone that the expression is read in.")
    max_concurrent_runs: int = strawberry.field(description="How many of its runs may be on at once.")
    rerun: bool = strawberry.field(description="Whether fire times that have a run that succeeded run again.")
    fire_count: int = strawberry.field(description="The fire times that it runs.")
    left_out_count: int = strawberry.field(description="Those of the range that had succeeded, and are left out.")
    cancel_requested: bool = strawberry.field(description="Whether cancelling was asked for.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")

    @strawberry.field(description="What is run.")
    async def playground(self, info: Info) -> LazyPlayground:
        row = await info.context.loaders.playground.load(self.row.playground_id)
        assert row is not None  # noqa: S101 - a foreign key
        return playground_types.Playground.of(row)

    @strawberry.field(description="How many of its fire times stand where.")
    async def counts(self, info: Info) -> BackfillCounts:
        standing = await info.context.loaders.standing_of_backfill.load(self.row.id)
        runs = {} if standing is None else standing.runs
        return BackfillCounts(
            waiting=0 if standing is None else standing.waiting,
            running=runs.get(RunStatus.PENDING, 0) + runs.get(RunStatus.RUNNING, 0),
            success=runs.get(RunStatus.SUCCESS, 0),
            partial_success=runs.get(RunStatus.PARTIAL_SUCCESS, 0),
            failed=runs.get(RunStatus.FAILED, 0),
            cancelled=runs.get(RunStatus.CANCELLED, 0),
        )

    @strawberry.field(description="Its runs, the newest first.")
    async def runs(
        self, info: Info, first: First = 20, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[LazyRun]:
        request = page_request(first, after, last, before)
        page = await info.context.loaders.runs_of_backfill.load((self.row.id, request))
        return connect(Connection[run_types.Run], page, run_types.Run.of)

    @classmethod
    def of(cls, row: BackfillRow) -> "Backfill":
        return cls(
            id=to_global("Backfill", row.id),
            row=row,
            status=row.status,
            from_=row.from_at,
            until=row.until_at,
            cron=row.cron,
            timezone=row.timezone,
            max_concurrent_runs=row.max_concurrent_runs,
            rerun=row.rerun,
            fire_count=row.fire_count,
            left_out_count=row.left_out_count,
            cancel_requested=row.cancel_requested,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )


@strawberry.type(description="What a backfill of a range would run.")
class BackfillPreview:
    fire_count: int = strawberry.field(description="The fire times that it would run.")
    left_out_count: int = strawberry.field(description="Those that have succeeded, and would be left out.")
    first: datetime | None = strawberry.field(description="The first that it would run.")
    last: datetime | None = strawberry.field(description="The last that it would run.")

    @classmethod
    def of(cls, plan: Plan) -> "BackfillPreview":
        return cls(
            fire_count=len(plan.fires),
            left_out_count=plan.left_out,
            first=plan.fires[0] if plan.fires else None,
            last=plan.fires[-1] if plan.fires else None,
        )


@strawberry.type(description="A backfill, or why it was refused.")
class BackfillPayload:
    backfill: Backfill | None = strawberry.field(description="The backfill as it is now; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.input(description="A range of past fire times to run.")
class StartBackfillInput:
    playground_id: strawberry.ID = strawberry.field(description="Which playground; it has a schedule.")
    from_: datetime = strawberry.field(name="from", description="The start of the range.")
    until: datetime = strawberry.field(description="The end of the range, which belongs to it; not in the future.")
    max_concurrent_runs: int | None = strawberry.field(default=1, description="How many runs at once, at most 50.")
    rerun: bool | None = strawberry.field(
        default=False, description="Whether to run fire times again that have a run that succeeded."
    )


@strawberry.input(description="The backfill to cancel.")
class CancelBackfillInput:
    backfill_id: strawberry.ID = strawberry.field(description="Which backfill.")
