"""Reconciliations: defining them, starting, cancelling and finding their runs."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from app.domain.errors import ConflictError, IllegalStateError, InvalidError, NotFoundError
from app.domain.events import cancel_topic, reconciliation_topic
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.reconciliation.mapping import ColumnMapping, check_mapping
from app.domain.reconciliation.options import PassRule, ReconciliationMethod, ReconciliationOptions
from app.domain.status import ReconciliationStatus, TaskRunStatus
from app.models import Reconciliation, ReconciliationEvent, ReconciliationRun, Task, TaskRun
from app.outputs.locations import differences_location
from app.services.comparison_launch import NewComparison, launch_comparisons, refuse_missing_columns
from app.services.following import Place
from app.services.live import Feeds, Following
from app.services.playgrounds import not_found
from app.services.runs import MAX_KEY, refuse_pruned
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Which outputs to compare; None is the newest successful one of that side's task."""

    left_task_run_id: UUID | None = None
    right_task_run_id: UUID | None = None
    idempotency_key: str | None = None


class ReconciliationService:
    def __init__(self, *, database: Database, feeds: Feeds) -> None:
        self._database = database
        self._feeds = feeds

    async def create(
        self,
        viewer: Viewer,
        playground_id: UUID,
        *,
        left_task_id: UUID,
        right_task_id: UUID,
        mapping: Sequence[ColumnMapping],
        options: ReconciliationOptions,
    ) -> Reconciliation:
        """Raises: NotFoundError, InvalidError."""
        check_mapping(mapping)
        at, reconciliation_id = utc_now(), new_id()

        async def work(unit: UnitOfWork) -> Reconciliation:
            ledger = await unit.open_ledger(playground_id)
            if ledger is None or ledger.playground.owner_id != viewer.user_id:
                raise not_found("playground", path=("playgroundId",))
            known = {task.id for task in await unit.tasks.of_playgrounds([playground_id])}
            for path, task_id in (("leftTaskId", left_task_id), ("rightTaskId", right_task_id)):
                if task_id not in known:
                    raise NotFoundError("This is no task of the playground.", path=(path,))
            if await unit.reconciliations.get(reconciliation_id) is None:
                await unit.reconciliations.add(
                    id=reconciliation_id,
                    playground_id=playground_id,
                    left_task_id=left_task_id,
                    right_task_id=right_task_id,
                    mapping=[asdict(pair) for pair in mapping],
                    options=options_document(options),
                    created_at=at,
                    modified_at=at,
                )
            return await _found(unit, viewer, reconciliation_id)

        return await self._database.write(work)

    async def update(
        self,
        viewer: Viewer,
        reconciliation_id: UUID,
        *,
        mapping: Sequence[ColumnMapping] | None = None,
        options: ReconciliationOptions | None = None,
    ) -> Reconciliation:
        """Change what is given; runs that were made keep what they were made with.

        Raises: NotFoundError, InvalidError.
        """
        changes: dict[str, Any] = {"modified_at": utc_now()}
        if mapping is not None:
            check_mapping(mapping)
            changes["mapping"] = [asdict(pair) for pair in mapping]
        if options is not None:
            changes["options"] = options_document(options)

        async def work(unit: UnitOfWork) -> Reconciliation:
            await _found(unit, viewer, reconciliation_id)
            await unit.reconciliations.update(reconciliation_id, **changes)
            return await _found(unit, viewer, reconciliation_id)

        return await self._database.write(work)

    async def delete(self, viewer: Viewer, reconciliation_id: UUID) -> None:
        """Raises: NotFoundError."""
        tried = False

        async def work(unit: UnitOfWork) -> None:
            nonlocal tried
            if tried and await unit.reconciliations.get(reconciliation_id) is None:
                return  # this very deletion was committed, and the connection lost before it was told
            pair = await _found(unit, viewer, reconciliation_id)
            await unit.open_ledger(pair.playground_id)  # a comparison that is being launched comes first, or not at all
            runs = await unit.reconciliations.ids_of_runs(reconciliation_id)
            await unit.discards.add([differences_location(run_id) for run_id in runs], at=utc_now())
            await unit.reconciliations.delete(reconciliation_id)
            unit.outbox.ring(cancel_topic())  # a comparison that is under way has nobody to tell any more
            tried = True

        await self._database.write(work)

    async def launch(self, viewer: Viewer, reconciliation_id: UUID, comparison: Comparison) -> ReconciliationRun:
        """Have two outputs compared; an idempotency key that was seen before gives the run that it made.

        Raises: NotFoundError, InvalidError (also for a column that an output does not have), PrunedError;
        ConflictError where a side has no output yet.
        """
        key = comparison.idempotency_key
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise InvalidError(f"An idempotency key has 1 to {MAX_KEY} characters.", path=("idempotencyKey",))
        run_id, at = new_id(), utc_now()

        async def work(unit: UnitOfWork) -> ReconciliationRun:
            pair = await _found(unit, viewer, reconciliation_id)
            await unit.open_ledger(pair.playground_id)  # two calls with one key come one after the other
            if (
                key is not None
                and (seen := await unit.reconciliations.run_by_idempotency_key(pair.id, key)) is not None
            ):
                return seen
            if await unit.reconciliations.run(run_id) is None:
                left = await _output(unit, pair.left_task_id, comparison.left_task_run_id, side="left")
                right = await _output(unit, pair.right_task_id, comparison.right_task_run_id, side="right")
                refuse_missing_columns(mapping_of(pair.mapping), left, right)
                new = NewComparison(
                    id=run_id, pair=pair, left_task_run_id=left.id, right_task_run_id=right.id, idempotency_key=key
                )
                await launch_comparisons(unit, [new], at=at)
            return await _found_run(unit, viewer, run_id)

        return await self._database.write(work)

    async def cancel(self, viewer: Viewer, run_id: UUID) -> ReconciliationRun:
        """Raises: NotFoundError; IllegalStateError where the run has ended."""
        tried = False

        async def work(unit: UnitOfWork) -> ReconciliationRun:
            nonlocal tried
            await _found_run(unit, viewer, run_id)
            run = await unit.reconciliations.run(run_id, lock=True)
            if tried and run is not None and run.cancel_requested:
                return run  # this very request was committed, and the connection lost before it was told
            tried = True
            if run is None or run.status.ended:
                raise IllegalStateError("This comparison has ended already.", path=("reconciliationRunId",))
            await unit.reconciliations.request_cancel(run_id)
            if run.status is ReconciliationStatus.PENDING:
                at = utc_now()
                await unit.reconciliations.transition(run, ReconciliationStatus.CANCELLED, at=at, ended_at=at)
            unit.outbox.ring(cancel_topic())
            return await _found_run(unit, viewer, run_id)

        return await self._database.write(work)

    def follow(self, viewer: Viewer, run_id: UUID, *, after: int | None) -> Following[ReconciliationEvent]:
        """What happens in a run, from its start or a cursor, to its end; raises NotFoundError when it is begun."""
        return Following(feeds=self._feeds, find=lambda: self._place(viewer, run_id, after))

    async def _place(self, viewer: Viewer, run_id: UUID, after: int | None) -> Place[ReconciliationEvent]:
        async with self._database.read() as unit:
            await _found_run(unit, viewer, run_id)

        async def fetch(position: int, limit: int) -> Sequence[ReconciliationEvent]:
            async with self._database.read() as unit:
                return await unit.reconciliations.events_after(run_id, position, limit=limit)

        async def over() -> bool:
            async with self._database.read() as unit:
                run = await unit.reconciliations.run(run_id)
            return run is None or run.status.ended

        topic = reconciliation_topic(run_id)
        return Place(key=topic, topic=topic, fetch=fetch, position=_sequence, over=over, after=after or 0)

    async def get(self, viewer: Viewer, reconciliation_id: UUID) -> Reconciliation | None:
        async with self._database.read() as unit:
            return await unit.reconciliations.get(reconciliation_id, owner_id=viewer.user_id)

    async def run(self, viewer: Viewer, run_id: UUID) -> ReconciliationRun | None:
        async with self._database.read() as unit:
            return await unit.reconciliations.run(run_id, owner_id=viewer.user_id)

    # ---- many at once, for data loaders

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Reconciliation]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.reconciliations.get_many(ids)}

    async def of_playgrounds(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Reconciliation]]:
        found: dict[UUID, list[Reconciliation]] = defaultdict(list)
        async with self._database.read() as unit:
            for row in await unit.reconciliations.of_playgrounds(playground_ids):
                found[row.playground_id].append(row)
        return found

    async def last_runs(self, ids: Collection[UUID]) -> Mapping[UUID, ReconciliationRun]:
        async with self._database.read() as unit:
            return {row.reconciliation_id: row for row in await unit.reconciliations.last_runs(ids)}

    async def runs(self, ids: Collection[UUID]) -> Mapping[UUID, ReconciliationRun]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.reconciliations.runs(ids)}


def options_document(options: ReconciliationOptions) -> dict[str, Any]:
    return asdict(options)


def options_of(document: Mapping[str, Any]) -> ReconciliationOptions:
    method = document.get("method")
    return ReconciliationOptions(
        **{
            **document,
            "method": None if method is None else ReconciliationMethod(method),
            "pass_when": PassRule(**document["pass_when"]),
        }
    )


def mapping_of(documents: Sequence[Mapping[str, Any]]) -> tuple[ColumnMapping, ...]:
    return tuple(ColumnMapping(**document) for document in documents)


def _sequence(row: ReconciliationEvent) -> int:
    return row.sequence


async def _found(unit: UnitOfWork, viewer: Viewer, reconciliation_id: UUID) -> Reconciliation:
    row = await unit.reconciliations.get(reconciliation_id, owner_id=viewer.user_id)
    if row is None:
        raise not_found("reconciliation", path=("reconciliationId",))
    return row


async def _found_run(unit: UnitOfWork, viewer: Viewer, run_id: UUID) -> ReconciliationRun:
    row = await unit.reconciliations.run(run_id, owner_id=viewer.user_id)
    if row is None:
        raise not_found("reconciliation run", path=("reconciliationRunId",))
    return row


async def _output(unit: UnitOfWork, task_id: UUID, task_run_id: UUID | None, *, side: str) -> TaskRun:
    """The task run whose output is a side of the comparison."""
    path = (f"{side}TaskRunId",)
    row = await (_newest(unit, task_id) if task_run_id is None else unit.runs.task_run(task_run_id))
    if row is None and task_run_id is None:
        task: Task | None = await unit.tasks.get(task_id)
        name = "" if task is None else f" «{task.name}»"
        raise ConflictError(f"The {side} task{name} has no output yet; run it, then compare.", path=path)
    if row is None or row.task_id != task_id:
        raise NotFoundError(f"This is no run of the {side} task.", path=path)
    if row.status is not TaskRunStatus.SUCCESS:
        raise ConflictError(f"This run of the {side} task has no output: it is {row.status}.", path=path)
    refuse_pruned(row, path=path)
    return row


async def _newest(unit: UnitOfWork, task_id: UUID) -> TaskRun | None:
    return next(iter(await unit.runs.last_of_tasks([task_id], status=TaskRunStatus.SUCCESS)), None)
