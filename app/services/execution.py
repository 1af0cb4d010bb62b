"""What a worker does with runs: starts them, and carries task runs through their attempts along the edges.

A worker that has ended a task goes on with one of its children itself, claimed in the very transaction that ended the
parent: between the two there is no queue, no poll and no new process. The other children are queued.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from app.domain.events import Job, JobName
from app.domain.identity import utc_now
from app.domain.status import RunStatus, TaskRunStatus
from app.models import TaskRun
from app.services.attempt import AttemptRunner, Outcome
from app.services.claims import Claims
from app.services.conclusion import Conclusion, End
from app.services.group_commit import GroupCommit
from app.services.held_work import HeldTask, HeldWork
from app.services.records import record_attempts
from app.services.rollup import finish_if_done
from app.store.database import Database, DatabaseAwayError
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

RETRY_DELAY = 0.5  # seconds between two looks whether the database is back

log = structlog.get_logger()


class ExecutionService:
    """`worker_id` is this process's lease: its heartbeat is kept by app.services.leases."""

    def __init__(self, *, database: Database, attempts: AttemptRunner, held: HeldWork, worker_id: UUID) -> None:
        self._database = database
        self._attempts = attempts
        self._held = held
        self._worker_id = worker_id
        self._claims = Claims(worker_id=worker_id)
        self._conclusion = Conclusion(claims=self._claims, worker_id=worker_id)
        self._draining = False
        self._asked: GroupCommit[None, UUID, UUID | None] = GroupCommit(self._find_playgrounds)
        self._claimed: GroupCommit[UUID, UUID, HeldTask | None] = GroupCommit(self._claim)
        self._ended: GroupCommit[UUID, End, TaskRun | None] = GroupCommit(self._conclude)

    async def start_run(self, run_id: UUID) -> None:
        """PENDING → RUNNING: queue the tasks without parents, and carry the first of them."""

        async def work(unit: UnitOfWork) -> list[TaskRun]:
            run = await unit.runs.get(run_id)
            ledger = None if run is None else await unit.open_ledger(run.playground_id)
            if ledger is None or self._draining:
                return []
            at = utc_now()
            if not await ledger.transition_run(run_id, RunStatus.RUNNING, at=at, started_at=at):
                return []
            return await self._claims.queue(unit, ledger, await unit.runs.roots(run_id), keep=1, at=at)

        for task_run in await self._database.write(work):
            await self._carry(HeldTask(task_run=task_run))

    async def execute_task(self, task_run_id: UUID) -> None:
        """Claim a queued task run, or one whose worker has died, and carry it; another's work is left alone."""
        playground_id = await self._asked.submit(None, task_run_id)
        if playground_id is None or self._draining:
            return
        held = await self._claimed.submit(playground_id, task_run_id)
        if held is not None:
            await self._carry(held)

    async def hand_over(self, *, grace: timedelta) -> None:
        """Take nothing new, let what runs end within the grace, and give the rest back to the queue."""
        self._draining = True
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._held.until_empty()
        except TimeoutError:
            log.info("worker.hands_over", count=len(self._held))

    async def _carry(self, held: HeldTask | None) -> None:
        while held is not None:
            self._held.add(held)
            try:
                outcome = await self._attempts.run(held, attached=held.handle)
                following = await self._end(held, outcome)
            except asyncio.CancelledError:
                await asyncio.shield(self._give_back(held))
                raise
            finally:
                self._held.remove(held)
            held = None if following is None else HeldTask(task_run=following)

    async def _end(self, held: HeldTask, outcome: Outcome) -> TaskRun | None:
        """Write what came of it, however long the database is away: what was worked out is not thrown away."""
        while True:
            end = End(held=held, outcome=outcome, wants_more=not self._draining)
            try:
                return await self._ended.submit(held.task_run.playground_id, end)
            except DatabaseAwayError:
                log.warning("execution.end_waits", task_run_id=held.task_run.id.hex, status=str(outcome.status))
                await asyncio.sleep(RETRY_DELAY)

    # ---- transactions, each for all that waits for it

    async def _find_playgrounds(self, _key: None, task_run_ids: Sequence[UUID]) -> list[UUID | None]:
        async with self._database.read() as unit:
            found = await unit.runs.playgrounds_of(task_run_ids)
        return [found.get(task_run_id) for task_run_id in task_run_ids]

    async def _claim(self, playground_id: UUID, task_run_ids: Sequence[UUID]) -> list[HeldTask | None]:
        if self._draining:
            return [None] * len(task_run_ids)
        return await self._database.write(
            partial(self._claims.from_queue, playground_id=playground_id, task_run_ids=task_run_ids)
        )

    async def _conclude(self, playground_id: UUID, ends: Sequence[End]) -> list[TaskRun | None]:
        return await self._database.write(partial(self._conclusion.conclude, playground_id=playground_id, ends=ends))

    async def _give_back(self, held: HeldTask) -> None:
        """This process must go: what can be re-attached to is left running, the rest is queued anew."""
        task_run = held.task_run
        durable = held.handle is not None and held.handle.durable
        if not durable:
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
            unit.outbox.jobs.append(Job(name=JobName.EXECUTE_TASK, id=task_run.id))

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
            queued_at=at,
            worker_id=None,
            losses=TaskRun.losses + 1,
        )
