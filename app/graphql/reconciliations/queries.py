"""Queries of reconciliations."""

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.reconciliations.types import Reconciliation, ReconciliationRun

Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]


@strawberry.type
class ReconciliationQueries:
    @strawberry.field(description="One of your reconciliations; null where there is none with this id.")
    async def reconciliation(self, info: Info, id: Id) -> Reconciliation | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        if kind != "Reconciliation" or key is None:
            return None
        row = await info.context.services.reconciliations.get(viewer, key)
        return None if row is None else Reconciliation.of(row)

    @strawberry.field(description="One of your reconciliation runs; null where there is none with this id.")
    async def reconciliation_run(self, info: Info, id: Id) -> ReconciliationRun | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        if kind != "ReconciliationRun" or key is None:
            return None
        row = await info.context.services.reconciliations.run(viewer, key)
        return None if row is None else ReconciliationRun.of(row)
