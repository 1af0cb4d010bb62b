"""Data loaders: fields of many objects in one statement. Made anew for each request and for each pushed event."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.context import Services
from app.domain.status import TaskRunStatus
from app.models import (
    Backfill,
    Playground,
    Reconciliation,
    ReconciliationRun,
    Run,
    Task,
    TaskAttempt,
    TaskEdge,
    TaskRun,
    User,
)
from app.services.backfills import Standing

KEYS_AT_ONCE = 10_000  # SQLite takes 32,766 parameters a statement

Value = TypeVar("Value")
Batch = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Value]]]


def _loader(batch: Batch[Value]) -> DataLoader[UUID, Value | None]:
    async def load(keys: list[UUID]) -> list[Value | None]:
        found = await batch(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load, max_batch_size=KEYS_AT_ONCE)


class Loaders:
    def __init__(self, services: Services) -> None:
        playgrounds, runs, pairs = services.playgrounds, services.runs, services.reconciliations
        self.user: DataLoader[UUID, User | None] = _loader(services.accounts.users)
        self.playground: DataLoader[UUID, Playground | None] = _loader(playgrounds.get_many)
        self.tasks_of: DataLoader[UUID, Sequence[Task] | None] = _loader(playgrounds.tasks_of)
        self.edges_of: DataLoader[UUID, Sequence[TaskEdge] | None] = _loader(playgrounds.edges_of)
        self.last_run_of: DataLoader[UUID, Run | None] = _loader(runs.last_of_playgrounds)
        self.task: DataLoader[UUID, Task | None] = _loader(services.tasks.get_many)
        self.last_task_run_of: DataLoader[UUID, TaskRun | None] = _loader(runs.last_of_tasks)
        self.run: DataLoader[UUID, Run | None] = _loader(runs.get_many)
        self.backfill: DataLoader[UUID, Backfill | None] = _loader(services.backfills.get_many)
        self.standing_of_backfill: DataLoader[UUID, Standing | None] = _loader(services.backfills.standings)
        self.task_run: DataLoader[UUID, TaskRun | None] = _loader(runs.task_runs)
        self.task_runs_of: DataLoader[UUID, Sequence[TaskRun] | None] = _loader(runs.task_runs_of)
        self.attempts_of: DataLoader[UUID, Sequence[TaskAttempt] | None] = _loader(runs.attempts_of)
        self.counts_of: DataLoader[UUID, Mapping[TaskRunStatus, int] | None] = _loader(runs.counts_of)
        self.reconciliation: DataLoader[UUID, Reconciliation | None] = _loader(pairs.get_many)
        self.reconciliations_of: DataLoader[UUID, Sequence[Reconciliation] | None] = _loader(pairs.of_playgrounds)
        self.last_pair_run_of: DataLoader[UUID, ReconciliationRun | None] = _loader(pairs.last_runs)
        self.pair_run: DataLoader[UUID, ReconciliationRun | None] = _loader(pairs.runs)
        self.pair_runs_of_run: DataLoader[UUID, Sequence[ReconciliationRun] | None] = _loader(pairs.runs_of)
