"""Compares two outputs; the service knows what that means."""

from collections.abc import Sequence
from uuid import UUID

from app.messaging.queue import Handler
from app.services.comparison import ComparisonService


def reconcile(comparisons: ComparisonService) -> Handler:
    async def job(_playground_id: UUID | None, ids: Sequence[UUID]) -> None:
        for id_ in ids:
            await comparisons.reconcile(id_)

    return job
