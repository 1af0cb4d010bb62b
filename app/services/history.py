"""What has run, of many playgrounds, runs or tasks at once. Whoever asks has found out already whose they are."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.domain.checks.results import CheckResult
from app.domain.status import TaskRunStatus
from app.models import Backfill, Event, ReconciliationRun, Run, TaskRun
from app.store.database import Database
from app.store.history import EventsAsked, RunsAsked, Texts
from app.store.pages import Page, PageRequest

MOST_FINAL = 20_000  # runs whose counts are remembered, at about 300 bytes each


class HistoryService:
    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._final: dict[UUID, Mapping[TaskRunStatus, int]] = {}

    async def runs(self, playground_ids: Collection[UUID], asked: RunsAsked) -> Mapping[UUID, Page[Run]]:
        async with self._database.read() as unit:
            return await unit.history.runs(playground_ids, asked)

    async def last_runs(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Run]:
        async with self._database.read() as unit:
            return {run.playground_id: run for run in await unit.history.last_runs(playground_ids)}

    async def backfills(self, playground_ids: Collection[UUID], page: PageRequest) -> Mapping[UUID, Page[Backfill]]:
        async with self._database.read() as unit:
            return await unit.history.backfills(playground_ids, page)

    async def runs_of_backfills(self, backfill_ids: Collection[UUID], page: PageRequest) -> Mapping[UUID, Page[Run]]:
        async with self._database.read() as unit:
            return await unit.history.runs_of_backfills(backfill_ids, page)

    async def counts(self, run_ids: Collection[UUID]) -> Mapping[UUID, Mapping[TaskRunStatus, int]]:
        """How many task runs of each run have each status."""
        known = {run_id: self._final[run_id] for run_id in run_ids if run_id in self._final}
        found: dict[UUID, dict[TaskRunStatus, int]] = defaultdict(dict)
        if unknown := [run_id for run_id in run_ids if run_id not in known]:
            async with self._database.read() as unit:
                for run_id, status, count in await unit.history.counts(unknown):
                    found[run_id][status] = count
        for run_id, counts in found.items():
            if all(status.ended for status in counts):  # what has ended never changes
                self._final[run_id] = counts
        while len(self._final) > MOST_FINAL:
            del self._final[next(iter(self._final))]
        return known | found

    async def events(self, run_ids: Collection[UUID], asked: EventsAsked) -> Mapping[UUID, Sequence[Event]]:
        async with self._database.read() as unit:
            return await unit.history.events(run_ids, asked)

    # ---- task runs: their texts and `output_columns` are not loaded, and are asked for apart

    async def task_runs(self, ids: Collection[UUID]) -> Mapping[UUID, TaskRun]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.history.task_runs(ids)}

    async def task_runs_of(self, run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TaskRun]]:
        found: dict[UUID, list[TaskRun]] = {run_id: [] for run_id in run_ids}
        async with self._database.read() as unit:
            for row in await unit.history.task_runs_of(run_ids):
                found[row.run_id].append(row)
        return found

    async def last_task_runs(self, task_ids: Collection[UUID]) -> Mapping[UUID, TaskRun]:
        async with self._database.read() as unit:
            rows = await unit.history.last_task_runs(task_ids)
        return {row.task_id: row for row in rows if row.task_id is not None}

    async def texts(self, task_run_ids: Collection[UUID]) -> Mapping[UUID, Texts]:
        async with self._database.read() as unit:
            return await unit.history.texts(task_run_ids)

    async def output_columns(self, task_run_ids: Collection[UUID]) -> Mapping[UUID, list[dict[str, str]]]:
        async with self._database.read() as unit:
            return await unit.history.output_columns(task_run_ids)

    async def check_results(self, task_run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[CheckResult]]:
        async with self._database.read() as unit:
            return await unit.history.check_results(task_run_ids)

    # ---- comparisons

    async def comparisons(
        self, reconciliation_ids: Collection[UUID], page: PageRequest
    ) -> Mapping[UUID, Page[ReconciliationRun]]:
        async with self._database.read() as unit:
            return await unit.history.comparisons(reconciliation_ids, page)

    async def comparisons_of_runs(self, run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[ReconciliationRun]]:
        found: dict[UUID, list[ReconciliationRun]] = defaultdict(list)
        async with self._database.read() as unit:
            for run_id, row in await unit.history.comparisons_of_runs(run_ids):
                found[run_id].append(row)
        return found

    async def samples(self, reconciliation_run_ids: Collection[UUID]) -> Mapping[UUID, dict[str, Any]]:
        """The stored samples by kind, as `ReconciliationResult.to_document` writes them."""
        async with self._database.read() as unit:
            return await unit.history.samples(reconciliation_run_ids)
