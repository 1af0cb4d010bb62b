"""What a worker does with runs: carries task runs through their attempts, and along the edges.

A worker that has ended a task goes on with one of its children itself, claimed in the very transaction that ended the
parent: between the two there is no queue, no poll and no new process. The other children are queued. A worker whose
slots are all taken goes on with what waits in the same lane, or where another playground waits too, with what is fair:
a user with a thousand tasks does not keep another's waiting.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import UUID

import structlog

from app.domain.dispatch import Limits
from app.domain.identity import utc_now
from app.domain.status import TaskRunStatus
from app.models import TaskRun
from app.services.attempt import AttemptRunner, Outcome
from app.services.claims import BUSY, Asked, Busy, Claims, job_of
from app.services.conclusion import Conclusion, End
from app.services.group_commit import GroupCommit
from app.services.held_work import HeldTask, HeldWork
from app.services.records import record_attempts
from app.services.rollup import finish_if_done
from app.services.slots import Reservation, Slots, place_of
from app.store.database import Database, DatabaseAwayError
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

Item = TypeVar("Item")
Came = TypeVar("Came")
RETRY_DELAY = 0.5  # seconds between two looks whether the database is back
STALE_AFTER = 0.1  # seconds; a full worker looks that often whether anything waits
SHARE_EVERY = 0.05  # seconds; to choose fairly costs more than a small task, and a wait this short is none

log = structlog.get_logger()


class ExecutionService:
    """`worker_id` is this process's lease: its heartbeat is kept by app.services.leases."""

    def __init__(
        self,
        *,
        database: Database,
        attempts: AttemptRunner,
        held: HeldWork,
        worker_id: UUID,
        slots: Slots,
        limits: Limits,
    ) -> None:
        self._database = database
        self._attempts = attempts
        self._held = held
        self._worker_id = worker_id
        self._slots = slots
        self._limits = limits
        self._claims = Claims(worker_id=worker_id, limits=limits)
        self._conclusion = Conclusion(claims=self._claims, slots=slots, worker_id=worker_id)
        self._draining = False
        self._waiting = (-STALE_AFTER, frozenset[UUID]())  # when it was looked, and whose tasks waited for a slot
        self._shared_at = -SHARE_EVERY  # when a slot was last given to whom it is fair to give it
        # By None: those of all playgrounds together. A playground that is locked elsewhere goes alone, by its id.
        self._claimed: GroupCommit[UUID | None, Asked, HeldTask | Busy | None] = GroupCommit(self._claim)
        self._ended: GroupCommit[UUID | None, End, TaskRun | Busy | None] = GroupCommit(self._conclude)
        self._next: GroupCommit[None, HeldTask | None, HeldTask | None] = GroupCommit(self._claim_next)

    async def execute_tasks(self, playground_id: UUID | None, task_run_ids: Sequence[UUID]) -> None:
        """Claim those of one playground's task runs that are queued, or whose worker has died, and carry them.

        Another's work is left alone, and so is what there is no slot for.
        """
        if playground_id is None or self._draining:
            return
        async with asyncio.TaskGroup() as group:
            for task_run_id in task_run_ids:
                group.create_task(self._execute(playground_id, task_run_id), name=f"task run {task_run_id.hex}")

    async def _execute(self, playground_id: UUID, task_run_id: UUID) -> None:
        try:
            with self._held.carrying():
                asked = Asked(playground_id=playground_id, task_run_id=task_run_id)
                held = await _submit(self._claimed, playground_id, asked)
                if held is None and self._limits:
                    held = await self._next.submit(None, None)
                await self._carry(held)
        except DatabaseAwayError:
            log.warning("execution.claim_failed", task_run_id=task_run_id.hex)  # the sweeper sends the job again
        except Exception:  # one task's fault must not end those that came by the same job
            log.exception("execution.crashed", task_run_id=task_run_id.hex)

    async def hand_over(self, *, grace: timedelta) -> None:
        """Take nothing new, let what runs end within the grace, and give the rest back to the queue."""
        self._draining = True
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._held.until_empty()
        except TimeoutError:
            log.info("worker.hands_over", count=len(self._held))

    async def _carry(self, held: HeldTask | None) -> None:
        try:
            while held is not None:
                child = await self._attempt(held)
                held = await self._take_next(held) if child is None else self._follow(held, child)
        finally:
            if held is not None and held.slot is not None:
                self._slots.give_back(held.slot)

    async def _attempt(self, held: HeldTask) -> TaskRun | None:
        """Run the attempt and end it; gives the child to go on with, claimed."""
        self._held.add(held)
        try:
            outcome = await self._attempts.run(held, attached=held.handle)
            held.over = True
            return await self._end(held, outcome)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(held))
            raise
        finally:
            self._held.remove(held)

    async def _end(self, held: HeldTask, outcome: Outcome) -> TaskRun | None:
        """Write what came of it, however long the database is away: what was worked out is not thrown away."""
        while True:
            scarce = self._is_scarce(held)
            goes_on = not self._draining and not (scarce and await self._must_share(held))
            end = End(held=held, outcome=outcome, wants_more=goes_on, wants_next=goes_on and scarce)
            try:
                return await _submit(self._ended, held.task_run.playground_id, end)
            except DatabaseAwayError:
                log.warning("execution.end_waits", task_run_id=held.task_run.id.hex, status=str(outcome.status))
                await asyncio.sleep(RETRY_DELAY)

    def _follow(self, held: HeldTask, child: TaskRun) -> HeldTask:
        if held.slot is not None:
            self._slots.move(held.slot, place_of(child))
        return HeldTask(task_run=child, slot=held.slot)

    async def _take_next(self, held: HeldTask) -> HeldTask | None:
        """Give the slot up, or pass it on to what is fair; where limits hold tasks back, their turn may be now."""
        if self._limits or (self._is_scarce(held) and await self._must_share(held)):
            return await self._next.submit(None, held)
        if held.slot is not None:
            self._slots.give_back(held.slot)
        return None

    async def _must_share(self, held: HeldTask) -> bool:
        """Whether a task of another playground waits for a slot, and the last that was shared out is a while ago."""
        if monotonic() - self._shared_at < SHARE_EVERY:
            return False
        looked_at, waiting = self._waiting
        if monotonic() - looked_at > STALE_AFTER:
            self._waiting = (monotonic(), waiting)  # one looks for all
            with suppress(DatabaseAwayError):
                async with self._database.read() as unit:
                    waiting = frozenset(group.playground_id for group in await unit.waiting.groups())
            self._waiting = (monotonic(), waiting)
        return not waiting <= {held.task_run.playground_id}

    def _is_scarce(self, held: HeldTask) -> bool:
        return bool(self._limits) or self._slots.room(*place_of(held.task_run)) == 0

    # ---- transactions, each for all that waits for it

    async def _claim(self, alone: UUID | None, asked: Sequence[Asked]) -> list[HeldTask | Busy | None]:
        if self._draining:
            return [None] * len(asked)
        with self._slots.reserving() as reservation:
            claim = partial(self._claims.from_queue, asked=asked, reservation=reservation, wait=alone is not None)
            found = await self._database.write(claim)
            _keep(reservation, found)
        return found

    async def _claim_next(self, _key: None, asking: Sequence[HeldTask | None]) -> list[HeldTask | None]:
        self._shared_at = monotonic()
        ended = [held.slot for held in asking if held is not None and held.slot is not None]
        found: list[HeldTask | None] = []
        with self._slots.reserving(ended=ended) as reservation:
            if not self._draining:
                take = partial(self._claims.the_next, most=len(asking), reservation=reservation)
                found += await self._database.write(take)
                _keep(reservation, found)
        return [*found, *[None] * (len(asking) - len(found))]

    async def _conclude(self, alone: UUID | None, ends: Sequence[End]) -> list[TaskRun | Busy | None]:
        return await self._database.write(partial(self._conclusion.conclude, ends=ends, wait=alone is not None))

    async def _give_back(self, held: HeldTask) -> None:
        """This process must go: what can be re-attached to is left running, the rest is queued anew."""
        task_run = held.task_run
        durable = held.handle is not None and held.handle.durable
        if not durable and not held.over:
            await held.cancel_in_engine()
        await self._ended.settle()  # its end may be on its way already

        async def work(unit: UnitOfWork) -> None:
            ledger = await unit.open_ledger(task_run.playground_id)
            if ledger is None:
                return
            at = utc_now()
            handed_over = Outcome(
                status=TaskRunStatus.CANCELLED,
                ended_at=at,
                error_code="HANDED_OVER",
                error_message="The worker was stopped.",
            )
            if durable:
                await unit.runs.release(task_run.id, worker_id=self._worker_id)
            elif await self._requeue(unit, ledger, task_run, at=at):
                await record_attempts(unit, [(held, handed_over)])
                await finish_if_done(unit, ledger, task_run.run_id, at=at)
            unit.outbox.jobs.append(job_of(task_run))

        await self._database.write(work)

    async def _requeue(self, unit: UnitOfWork, ledger: Ledger, task_run: TaskRun, *, at: datetime) -> bool:
        """RUNNING → QUEUED, or CANCELLED where that was asked for; False where another worker holds it by now."""
        run = await unit.runs.fresh(task_run.run_id)
        if run is not None and run.cancel_requested:
            return await ledger.transition(
                task_run, TaskRunStatus.CANCELLED, at=at, held_by=self._worker_id, ended_at=at, worker_id=None
            )
        return await ledger.transition(
            task_run,
            TaskRunStatus.QUEUED,
            at=at,
            held_by=self._worker_id,
            message="The worker was stopped and has given the task back.",
            queued_at=ledger.now,
            worker_id=None,
            losses=TaskRun.losses + 1,
        )


async def _submit(group: GroupCommit[UUID | None, Item, Came | Busy], playground_id: UUID, item: Item) -> Came:
    """With those of all playgrounds; where its own is locked elsewhere, alone, so that no other waits for that."""
    outcome = BUSY if group.is_busy(playground_id) else await group.submit(None, item)
    if outcome is BUSY:
        outcome = await group.submit(playground_id, item)
    assert outcome is not BUSY  # noqa: S101 - alone, it waits
    return outcome


def _keep(reservation: Reservation, claimed: Sequence[HeldTask | Busy | None]) -> None:
    for held in claimed:
        if isinstance(held, HeldTask):
            held.slot = reservation.keep(held.task_run)
