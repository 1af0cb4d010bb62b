"""Subscriptions to reconciliation runs."""

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import from_global, position_of_cursor
from app.graphql.reconciliations.types import ReconciliationEventBatch
from app.graphql.transport.streams import Live


@strawberry.type
class ReconciliationSubscriptions:
    @strawberry.subscription(description="All that happens in a comparison; completes when it has ended.")
    def reconciliation_events(
        self,
        info: Info,
        reconciliation_run_id: Annotated[strawberry.ID, strawberry.argument(description="What to follow.")],
        after: Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")] = None,
    ) -> AsyncIterator[ReconciliationEventBatch]:
        viewer = info.context.signed_in()
        key = from_global("ReconciliationRun", reconciliation_run_id, path=("reconciliationRunId",))
        position = position_of_cursor(after, path="after")
        source = info.context.services.reconciliations.follow(viewer, key, after=position)
        return Live(source=source, event_of=ReconciliationEventBatch.of)
