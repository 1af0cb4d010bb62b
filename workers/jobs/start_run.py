"""Starts a run; the service knows what that means."""

from uuid import UUID

from app.messaging.queue import Handler
from app.services.execution import ExecutionService


def start_run(execution: ExecutionService) -> Handler:
    async def job(id_: UUID) -> None:
        await execution.start_run(id_)

    return job
