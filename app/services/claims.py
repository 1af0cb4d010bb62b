"""Claims: how a worker comes to hold a task run, from the queue, from its own hand, or from a dead worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import groupby
from typing import Any
from uuid import UUID

from app.domain.dispatch import Choice, Group, Limits
from app.domain.events import Job, JobName
from app.domain.identity import utc_now
from app.domain.status import TaskRunStatus
from app.engines.base import Handle
from app.models import TaskRun
from app.services.attempt import Outcome
from app.services.held_work import HeldTask
from app.services.records import error_columns, record_attempts
from app.services.rollup import fail_dependents, finish_if_done
from app.services.slots import Reservation, place_of
from app.store.ledger import Ledger, assume
from app.store.ledgers import Ledgers
from app.store.unit_of_work import UnitOfWork

MAX_LOSSES = 3  # a task that kills its worker again and again is at fault itself
SLACK = timedelta(milliseconds=50)  # between the clocks of the queue and the database, which are one host's or near
LOOKS = 3  # at what waits; a group of which too many were chosen leaves slots to the others


class Busy(Enum):
    """Somebody else has the playground's lock; one who waits for it would keep other playgrounds waiting."""

    BUSY = "BUSY"


BUSY = Busy.BUSY


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A task run that a job names."""

    playground_id: UUID
    task_run_id: UUID


class Claims:
    """The claims of one worker; every method is a part of the caller's transaction."""

    def __init__(self, *, worker_id: UUID, limits: Limits) -> None:
        self._worker_id = worker_id
        self._limits = limits

    async def from_queue(
        self, unit: UnitOfWork, asked: Sequence[Asked], *, reservation: Reservation, wait: bool
    ) -> list[HeldTask | Busy | None]:
        """Claim each task run that is queued and due, or whose worker is gone; None for what is another's.

        What there is no slot for goes back to the queue. Where the platform has limits only `the_next` may claim what
        is queued. `wait`: for playgrounds that somebody else has locked; else their task runs are BUSY.
        """
        reservation.begin_again()
        wanted = {one.playground_id for one in asked}
        ledgers = await unit.open_ledgers(wanted, wait=wait)
        busy = () if wait else {playground_id for playground_id in wanted if playground_id not in ledgers}
        at = utc_now()
        found = await unit.runs.task_runs({one.task_run_id for one in asked if one.playground_id in ledgers})
        rows = {row.id: row for row in found if row.playground_id in ledgers}
        queued = [row for row in rows.values() if row.status is TaskRunStatus.QUEUED and _is_due(row, ledgers)]
        mine = [] if self._limits else self._with_slots(unit, queued, reservation)
        claimed = {row.id: HeldTask(task_run=row) for row in await self.claim(ledgers, mine, at=at)}
        running = [row for row in rows.values() if row.status is TaskRunStatus.RUNNING and row.id not in claimed]
        for row in self._with_slots(unit, await unit.workers.orphaned_among(running), reservation):
            taken = await self._take_over(unit, ledgers[row.playground_id], row, at=at)
            claimed |= {} if taken is None else {row.id: taken}
        # An id that came twice is given once.
        return [BUSY if one.playground_id in busy else claimed.pop(one.task_run_id, None) for one in asked]

    async def the_next(self, unit: UnitOfWork, *, most: int, reservation: Reservation) -> list[HeldTask]:
        """Claim what fairness and the limits give to this worker next, in any playground."""
        reservation.begin_again()
        if self._limits:
            await unit.waiting.lock()
        at, claimed = utc_now(), list[HeldTask]()
        for _ in range(LOOKS):
            waiting = await unit.waiting.groups()
            if not waiting:
                break
            choice = Choice(running=await unit.waiting.running(), limits=self._limits)
            chosen = choice.choose(waiting, most=most - len(claimed), room=reservation.room)
            found = await self._claim_chosen(unit, chosen, reservation, at=at)
            claimed += found
            if not found or len(claimed) >= most:
                break
        return claimed

    async def _claim_chosen(
        self, unit: UnitOfWork, chosen: Mapping[Group, int], reservation: Reservation, *, at: datetime
    ) -> list[HeldTask]:
        claimed: list[HeldTask] = []
        for group in sorted(chosen, key=lambda one: one.playground_id.hex):  # the same order of locks everywhere
            ledger = await unit.open_ledger(group.playground_id)
            if ledger is not None:
                rows = await unit.waiting.oldest(group.playground_id, (group.pool, group.lane), limit=chosen[group])
                mine = [row for row in rows if reservation.take(row)]
                claimed += [HeldTask(task_run=row) for row in await self.claim(unit.these(ledger), mine, at=at)]
        return claimed

    def _with_slots(self, unit: UnitOfWork, rows: Sequence[TaskRun], reservation: Reservation) -> list[TaskRun]:
        mine: list[TaskRun] = []
        for row in rows:
            if reservation.take(row):
                mine.append(row)
            else:
                unit.outbox.jobs.append(job_of(row, not_before=row.queued_at))  # it keeps its place in the queue
        return mine

    async def queue(self, unit: UnitOfWork, ledgers: Ledgers, ready: Sequence[TaskRun], *, at: datetime) -> None:
        """PENDING → QUEUED, with a job for each."""
        for run_id, rows in groupby(sorted(ready, key=lambda row: row.run_id.hex), key=lambda row: row.run_id):
            queued = {row.id: row for row in rows}
            ledger = ledgers[next(iter(queued.values())).playground_id]
            moved = await ledger.transition_all(run_id, TaskRunStatus.QUEUED, at=at, among=queued, queued_at=ledger.now)
            unit.outbox.jobs.extend(job_of(queued[task_run_id]) for task_run_id in moved)

    async def claim(
        self,
        ledgers: Ledgers,
        task_runs: Sequence[TaskRun],
        *,
        at: datetime,
        via: TaskRunStatus | None = None,
        **values: Any,
    ) -> list[TaskRun]:
        """→ RUNNING in a new attempt of this worker; the rows are brought up to date."""
        if not task_runs:
            return []
        if first := {row.run_id: row.playground_id for row in task_runs if _is_first(row)}:
            await ledgers.start_runs(first, at=at)
        fresh = {
            "started_at": at,
            "worker_id": self._worker_id,
            "handle": None,
            "handle_durable": False,
            "error_code": None,
            "error_message": None,
            "error_retriable": None,
            **values,
        }
        await ledgers.start_attempts(task_runs, at=at, via=via, **fresh)
        for row in task_runs:
            assume(row, status=TaskRunStatus.RUNNING, attempt=row.attempt + 1, **fresh)
        return list(task_runs)

    async def _take_over(self, unit: UnitOfWork, ledger: Ledger, task_run: TaskRun, *, at: datetime) -> HeldTask | None:
        """Go on with what a dead worker held: re-attach by its handle, or begin a new attempt."""
        run = await unit.runs.fresh(task_run.run_id)
        cancelled = run is not None and run.cancel_requested
        if task_run.handle is not None and task_run.handle_durable:
            if not await unit.runs.adopt(task_run, worker_id=self._worker_id):
                return None
            last = await unit.logs.last_sequence(task_run.id)  # after the adoption, which ends the other's writing
            held = HeldTask(task_run=task_run, handle=Handle(text=task_run.handle, durable=True), last_sequence=last)
            held.note("The worker was lost; another has re-attached to the work in the engine.", at=at)
            if cancelled:
                held.stop.set()
            return held
        lost = Outcome(
            status=TaskRunStatus.FAILED,
            ended_at=at,
            error_code="WORKER_LOST",
            error_message="The worker that ran this attempt was lost.",
        )
        before = HeldTask(task_run=task_run, last_sequence=await unit.logs.last_sequence(task_run.id))
        before.note("The worker was lost." if cancelled else "The worker was lost; the attempt runs again.", at=at)
        await record_attempts(unit, [(before, lost)])
        if cancelled:
            await ledger.transition(
                task_run, TaskRunStatus.CANCELLED, at=at, message=lost.error_message, ended_at=at, worker_id=None
            )
            await finish_if_done(unit, ledger, task_run.run_id, at=at)
            return None
        losses = task_run.losses + 1
        if losses >= MAX_LOSSES:
            await self._give_up(unit, ledger, task_run, lost, losses=losses)
            return None
        await ledger.transition(
            task_run,
            TaskRunStatus.QUEUED,
            at=at,
            message=lost.error_message,
            queued_at=ledger.now,
            worker_id=None,
            losses=losses,
        )
        assume(task_run, status=TaskRunStatus.QUEUED, losses=losses)
        (claimed,) = await self.claim(unit.these(ledger), [task_run], at=at)
        return HeldTask(task_run=claimed)

    async def _give_up(
        self, unit: UnitOfWork, ledger: Ledger, task_run: TaskRun, lost: Outcome, *, losses: int
    ) -> None:
        at = lost.ended_at
        await ledger.transition(
            task_run,
            TaskRunStatus.FAILED,
            at=at,
            message=lost.error_message,
            ended_at=at,
            worker_id=None,
            losses=losses,
            **error_columns(lost),
        )
        await fail_dependents(unit, ledger, task_run, at=at)
        await finish_if_done(unit, ledger, task_run.run_id, at=at)


def job_of(task_run: TaskRun, *, not_before: datetime | None = None) -> Job:
    """The job that has a worker take the task run up, from the queue of its lane."""
    return Job(
        name=JobName.EXECUTE_TASKS,
        id=task_run.id,
        playground_id=task_run.playground_id,
        lane=place_of(task_run),
        not_before=not_before,
    )


def _is_first(task_run: TaskRun) -> bool:
    """Whether its start may be its run's: a task without parents, at its first attempt."""
    return task_run.attempt == 0 and task_run.pending_parents == 0


def _is_due(task_run: TaskRun, ledgers: Ledgers) -> bool:
    """A retry that is not due is left: its own job comes when it is."""
    return task_run.queued_at is None or task_run.queued_at <= ledgers[task_run.playground_id].now + SLACK
