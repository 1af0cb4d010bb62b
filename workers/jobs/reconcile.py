"""Compares two outputs; the service knows what that means."""

from uuid import UUID

from app.messaging.queue import Handler
from app.services.comparison import ComparisonService


def reconcile(comparisons: ComparisonService) -> Handler:
    async def job(id_: UUID) -> None:
        await comparisons.reconcile(id_)

    return job
