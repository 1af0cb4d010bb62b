"""Executes a task run; the service knows what that means."""

from uuid import UUID

from app.messaging.queue import Handler
from app.services.execution import ExecutionService


def execute_task(execution: ExecutionService) -> Handler:
    async def job(id_: UUID) -> None:
        await execution.execute_task(id_)

    return job
