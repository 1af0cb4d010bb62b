"""Queries of backfills."""

from typing import Annotated

import strawberry

from app.graphql.backfills.types import Backfill
from app.graphql.context import Info
from app.graphql.ids import parse_global


@strawberry.type
class BackfillQueries:
    @strawberry.field(description="One of your backfills; null where there is none with this id.")
    async def backfill(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Backfill | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        row = await info.context.services.backfills.get(viewer, key) if kind == "Backfill" and key is not None else None
        return None if row is None else Backfill.of(row)
