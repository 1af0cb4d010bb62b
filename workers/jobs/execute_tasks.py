"""Executes task runs; the service knows what that means."""

from app.messaging.queue import Handler
from app.services.execution import ExecutionService


def execute_tasks(execution: ExecutionService) -> Handler:
    return execution.execute_tasks
