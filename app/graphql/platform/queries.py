"""Queries of nodes, engines, previews and health."""

from typing import Annotated

import strawberry

from app.domain.errors import InvalidError, TooLargeError
from app.graphql.context import Info
from app.graphql.node import Node
from app.graphql.platform.nodes import find_nodes
from app.graphql.platform.types import EngineConnection, Health
from app.graphql.runs.outcomes import Limit, Preview, preview_of
from app.graphql.scalars import BigInt

MAX_NODES = 100


@strawberry.type
class PlatformQueries:
    @strawberry.field(description="Any object by its id; null where there is none, or it is not yours.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Node | None:
        info.context.signed_in()
        return (await find_nodes(info, [id]))[0]

    @strawberry.field(description="Many objects by their ids, in the order asked; null for what is not there.")
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")]
    ) -> list[Node | None]:
        info.context.signed_in()
        if len(ids) > MAX_NODES:
            raise TooLargeError(f"At most {MAX_NODES} ids at once; these are {len(ids)}.", path=("ids",))
        return await find_nodes(info, ids)

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
