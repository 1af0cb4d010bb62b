"""Suggests how the newest outputs of two tasks can be compared: which columns belong together, which name a row."""

import asyncio
from uuid import UUID

from app.domain.errors import ConflictError
from app.domain.identity import Viewer
from app.domain.outputs import OutputFormat
from app.domain.reconciliation.samples import TableSample
from app.domain.reconciliation.suggestion import MappingSuggestion, suggest
from app.domain.status import TaskRunStatus
from app.models import TaskRun
from app.outputs.base import OutputStore
from app.services.playgrounds import not_found
from app.services.runs import refuse_pruned
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

AT_ONCE = 2  # they are a second's work of one core, and others have requests as well


class SuggestionService:
    def __init__(self, *, database: Database, outputs: OutputStore) -> None:
        self._database = database
        self._outputs = outputs
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def suggest(self, viewer: Viewer, *, left_task_id: UUID, right_task_id: UUID) -> MappingSuggestion:
        """By a sample of each output.

        Raises: NotFoundError; ConflictError where a task has no output yet; PrunedError, InvalidError, StorageError.
        """
        async with self._database.read() as unit:
            left = await _newest(unit, viewer, left_task_id, path="leftTaskId")
            right = await _newest(unit, viewer, right_task_id, path="rightTaskId")
        async with self._turns:
            samples = await asyncio.gather(self._sample(left), self._sample(right))
            return await asyncio.to_thread(suggest, *samples)

    async def _sample(self, row: TaskRun) -> TableSample:
        return await self._outputs.sample(
            row.output_location or "",
            format=row.output_format or OutputFormat.CSV,
            delimiter=row.output_delimiter or ",",
        )


async def _newest(unit: UnitOfWork, viewer: Viewer, task_id: UUID, *, path: str) -> TaskRun:
    task = await unit.tasks.get(task_id, owner_id=viewer.user_id)
    if task is None:
        raise not_found("task", path=(path,))
    newest = await unit.runs.last_of_tasks([task_id], status=TaskRunStatus.SUCCESS)
    if not newest or newest[0].output_location is None:
        raise ConflictError(f"The task «{task.name}» has no output yet; run it, then ask again.", path=(path,))
    refuse_pruned(newest[0], path=(path,))
    return newest[0]
