"""Data loaders: fields of many objects in one statement. Made anew for each request and for each pushed event."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.context import Services
from app.domain.checks.results import CheckResult
from app.domain.fields import QueryFields
from app.domain.status import TaskRunStatus
from app.domain.udfs import TakenUdf
from app.models import (
    Backfill,
    Event,
    Playground,
    Reconciliation,
    ReconciliationRun,
    Run,
    Task,
    TaskAttempt,
    TaskEdge,
    TaskRun,
    Udf,
    User,
)
from app.services.backfills import Standing
from app.services.fields import FieldsAsked
from app.store.history import EventsAsked, RunsAsked, Texts
from app.store.pages import Page, PageRequest

KEYS_AT_ONCE = 10_000  # SQLite takes 32,766 parameters a statement

Value = TypeVar("Value")
Asked = TypeVar("Asked", bound=Hashable)
Batch = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Value]]]
AskedBatch = Callable[[Sequence[UUID], Asked], Awaitable[Mapping[UUID, Value]]]


def _loader(batch: Batch[Value]) -> DataLoader[UUID, Value | None]:
    async def load(keys: list[UUID]) -> list[Value | None]:
        found = await batch(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load, max_batch_size=KEYS_AT_ONCE)


def _asking_loader(batch: AskedBatch[Asked, Value]) -> DataLoader[tuple[UUID, Asked], Value]:
    """Of lists that take arguments: a statement for each set of arguments, of which a document has a few."""

    async def load(keys: list[tuple[UUID, Asked]]) -> list[Value]:
        parents: dict[Asked, list[UUID]] = defaultdict(list)
        for parent, asked in keys:
            parents[asked].append(parent)
        found = {asked: await batch(each, asked) for asked, each in parents.items()}
        return [found[asked][parent] for parent, asked in keys]

    return DataLoader(load_fn=load, max_batch_size=KEYS_AT_ONCE)


class TaskGraph:
    """A playground's tasks and edges, put together once for all tasks that ask for their neighbours."""

    def __init__(self, tasks: Sequence[Task], edges: Sequence[TaskEdge]) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._parents: dict[UUID, list[UUID]] = defaultdict(list)
        self._children: dict[UUID, list[UUID]] = defaultdict(list)
        for edge in edges:
            self._parents[edge.child_id].append(edge.parent_id)
            self._children[edge.parent_id].append(edge.child_id)

    def parents(self, task_id: UUID) -> Sequence[Task]:
        return self._named(self._parents.get(task_id, ()))

    def children(self, task_id: UUID) -> Sequence[Task]:
        return self._named(self._children.get(task_id, ()))

    def _named(self, ids: Sequence[UUID]) -> Sequence[Task]:
        return [self._tasks[each] for each in sorted(ids) if each in self._tasks]


class Loaders:
    def __init__(self, services: Services) -> None:
        playgrounds, runs, pairs = services.playgrounds, services.runs, services.reconciliations
        history, backfills = services.history, services.backfills
        self.fields_of: DataLoader[FieldsAsked, QueryFields] = DataLoader(load_fn=services.fields.fields)
        self.user: DataLoader[UUID, User | None] = _loader(services.accounts.users)
        self.playground: DataLoader[UUID, Playground | None] = _loader(playgrounds.get_many)
        self.tasks_of: DataLoader[UUID, Sequence[Task] | None] = _loader(playgrounds.tasks_of)
        self.edges_of: DataLoader[UUID, Sequence[TaskEdge] | None] = _loader(playgrounds.edges_of)
        self.graph_of: DataLoader[UUID, TaskGraph] = DataLoader(load_fn=self._graphs, max_batch_size=KEYS_AT_ONCE)
        self.task: DataLoader[UUID, Task | None] = _loader(services.tasks.get_many)
        self.udf: DataLoader[UUID, Udf | None] = _loader(services.udfs.get_many)
        self.udfs_of: DataLoader[UUID, Sequence[Udf] | None] = _loader(services.udfs.of_tasks)
        self.udfs_of_task_run: DataLoader[UUID, Sequence[TakenUdf] | None] = _loader(services.udfs.of_task_runs)
        self.users_of_udf: DataLoader[UUID, Sequence[Task] | None] = _loader(services.udfs.users_of)
        self.run: DataLoader[UUID, Run | None] = _loader(runs.get_many)
        self.runs_of: DataLoader[tuple[UUID, RunsAsked], Page[Run]] = _asking_loader(history.runs)
        self.last_run_of: DataLoader[UUID, Run | None] = _loader(history.last_runs)
        self.counts_of: DataLoader[UUID, Mapping[TaskRunStatus, int] | None] = _loader(history.counts)
        self.events_of: DataLoader[tuple[UUID, EventsAsked], Sequence[Event]] = _asking_loader(history.events)
        self.backfill: DataLoader[UUID, Backfill | None] = _loader(backfills.get_many)
        self.backfills_of: DataLoader[tuple[UUID, PageRequest], Page[Backfill]] = _asking_loader(history.backfills)
        self.runs_of_backfill: DataLoader[tuple[UUID, PageRequest], Page[Run]] = _asking_loader(
            history.runs_of_backfills
        )
        self.standing_of_backfill: DataLoader[UUID, Standing | None] = _loader(backfills.standings)
        self.task_run: DataLoader[UUID, TaskRun | None] = _loader(history.task_runs)
        self.task_runs_of: DataLoader[UUID, Sequence[TaskRun] | None] = _loader(history.task_runs_of)
        self.last_task_run_of: DataLoader[UUID, TaskRun | None] = _loader(history.last_task_runs)
        self.texts_of: DataLoader[UUID, Texts | None] = _loader(history.texts)
        self.output_columns_of: DataLoader[UUID, list[dict[str, str]] | None] = _loader(history.output_columns)
        self.check_results_of: DataLoader[UUID, Sequence[CheckResult] | None] = _loader(history.check_results)
        self.attempts_of: DataLoader[UUID, Sequence[TaskAttempt] | None] = _loader(runs.attempts_of)
        self.reconciliation: DataLoader[UUID, Reconciliation | None] = _loader(pairs.get_many)
        self.reconciliations_of: DataLoader[UUID, Sequence[Reconciliation] | None] = _loader(pairs.of_playgrounds)
        self.pair_run: DataLoader[UUID, ReconciliationRun | None] = _loader(pairs.runs)
        self.last_pair_run_of: DataLoader[UUID, ReconciliationRun | None] = _loader(pairs.last_runs)
        self.pair_runs_of: DataLoader[tuple[UUID, PageRequest], Page[ReconciliationRun]] = _asking_loader(
            history.comparisons
        )
        self.pair_runs_of_run: DataLoader[UUID, Sequence[ReconciliationRun] | None] = _loader(
            history.comparisons_of_runs
        )
        self.samples_of: DataLoader[UUID, dict[str, Any] | None] = _loader(history.samples)

    async def _graphs(self, playground_ids: list[UUID]) -> list[TaskGraph]:
        tasks, edges = await asyncio.gather(
            self.tasks_of.load_many(playground_ids), self.edges_of.load_many(playground_ids)
        )
        return [TaskGraph(of or (), between or ()) for of, between in zip(tasks, edges, strict=True)]
