"""Queries of nodes, engines, previews and health."""

from typing import Annotated

import strawberry

from app.domain.errors import InvalidError, TooLargeError
from app.graphql.accounts.types import User
from app.graphql.backfills.types import Backfill
from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.node import Node
from app.graphql.platform.types import EngineConnection, Health
from app.graphql.playgrounds.types import Playground
from app.graphql.reconciliations.types import Reconciliation, ReconciliationRun
from app.graphql.runs.outcomes import Limit, Preview, preview_of
from app.graphql.runs.types import Run, TaskRun
from app.graphql.scalars import BigInt
from app.graphql.tasks.types import Task

MAX_NODES = 100


@strawberry.type
class PlatformQueries:
    @strawberry.field(description="Any object by its id; null where there is none, or it is not yours.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Node | None:
        info.context.signed_in()
        return await _node(info, id)

    @strawberry.field(description="Many objects by their ids, in the order asked; null for what is not there.")
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")]
    ) -> list[Node | None]:
        info.context.signed_in()
        if len(ids) > MAX_NODES:
            raise TooLargeError(f"At most {MAX_NODES} ids at once; these are {len(ids)}.", path=("ids",))
        return [await _node(info, each) for each in ids]

    @strawberry.field(description="The engines that are configured, and their health.")
    async def connections(self, info: Info) -> list[EngineConnection]:
        info.context.signed_in()
        return [
            EngineConnection(
                name=state.name, type=state.type, kind=str(state.kind), healthy=state.healthy, message=state.message
            )
            for state in await info.context.services.health.engines()
        ]

    @strawberry.field(description="The first rows of an output of yours.")
    async def preview(
        self,
        info: Info,
        location: Annotated[str, strawberry.argument(description="As `Output.location` gives it.")],
        limit: Limit = 100,
    ) -> Preview:
        viewer = info.context.signed_in()
        row = await info.context.services.runs.by_output(viewer, location)
        if row.output_format is None or row.output_delimiter is None:
            raise InvalidError("This is no output that can be previewed.", path=("location",))
        return await preview_of(info, location, row.output_format, row.output_delimiter, limit)

    @strawberry.field(description="Whether the platform's parts are well; needs no token.")
    async def health(self, info: Info) -> Health:
        health = await info.context.services.health.platform()
        return Health(
            database=health.database,
            redis=health.redis,
            workers=health.workers,
            scheduler_lag_ms=BigInt(health.scheduler_lag_ms),
        )


async def _node(info: Info, id: str) -> Node | None:  # noqa: PLR0911 - one for each type
    viewer, services = info.context.signed_in(), info.context.services
    kind, key = parse_global(id)
    if key is None:
        return None
    match kind:
        case "User":
            row = await info.context.loaders.user.load(key) if key == viewer.user_id else None
            return None if row is None else User.of(row)
        case "Playground":
            playground = await services.playgrounds.get(viewer, key)
            return None if playground is None else Playground.of(playground)
        case "Task":
            task = await services.tasks.get(viewer, key)
            return None if task is None else Task.of(task)
        case "Run":
            run = await services.runs.get(viewer, key)
            return None if run is None else Run.of(run)
        case "Backfill":
            backfill = await services.backfills.get(viewer, key)
            return None if backfill is None else Backfill.of(backfill)
        case "TaskRun":
            task_run = await services.runs.task_run(viewer, key)
            return None if task_run is None else TaskRun.of(task_run)
        case "Reconciliation":
            pair = await services.reconciliations.get(viewer, key)
            return None if pair is None else Reconciliation.of(pair)
        case "ReconciliationRun":
            pair_run = await services.reconciliations.run(viewer, key)
            return None if pair_run is None else ReconciliationRun.of(pair_run)
        case _:
            return None
