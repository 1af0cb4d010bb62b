"""What a worker does with runs: starts them, carries task runs through their attempts, and walks the edges.

A worker that has ended a task goes on with one of its children itself, claimed in the very transaction that ended the
parent: between the two there is no queue, no poll and no new process. The other children are queued.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from app.domain.events import Job, JobName
from app.domain.identity import utc_now
from app.domain.status import RunStatus, TaskRunStatus
from app.engines.base import Handle
from app.models import TaskRun
from app.services.attempt import AttemptRunner, Outcome
from app.services.held_work import HeldTask, HeldWork
from app.services.rollup import fail_dependents, finish_if_done
from app.store.database import Database
from app.store.ledger import Ledger, assume
from app.store.unit_of_work import UnitOfWork

MAX_LOSSES = 3  # a task that kills its worker again and again is at fault itself
MAX_BACKOFF = timedelta(hours=1)
CLOCK_SLACK = timedelta(seconds=1)  # a retry is not refused because two hosts' clocks differ a little

log = structlog.get_logger()


class ExecutionService:
    """`worker_id` is this process's lease: its heartbeat is kept by app.services.leases."""

    def __init__(self, *, database: Database, attempts: AttemptRunner, held: HeldWork, worker_id: UUID) -> None:
        self._database = database
        self._attempts = attempts
        self._held = held
        self._worker_id = worker_id
        self._draining = False

    async def start_run(self, run_id: UUID) -> None:
        """PENDING → RUNNING: queue the tasks without parents, and carry the first of them."""

        async def work(unit: UnitOfWork) -> TaskRun | None:
            run = await unit.runs.get(run_id)
            ledger = None if run is None else await unit.open_ledger(run.playground_id)
            if ledger is None:
                return None
            at = utc_now()
            if not await ledger.transition_run(run_id, RunStatus.RUNNING, at=at, started_at=at):
                return None
            return await self._queue(unit, ledger, await unit.runs.roots(run_id), at=at)

        await self._carry(await self._database.write(work))

    async def execute_task(self, task_run_id: UUID) -> None:
        """Claim a queued task run, or one whose worker has died, and carry it; another's work is left alone."""

        async def work(unit: UnitOfWork) -> HeldTask | None:
            task_run = await unit.runs.task_run(task_run_id)
            ledger = None if task_run is None else await unit.open_ledger(task_run.playground_id)
            task_run = None if ledger is None else await unit.runs.fresh_task_run(task_run_id)
            if ledger is None or task_run is None or self._draining:
                return None
            match task_run.status:
                case TaskRunStatus.QUEUED:
                    return await self._claim_queued(ledger, task_run)
                case TaskRunStatus.RUNNING:
                    return await self._take_over(unit, ledger, task_run)
                case _:
                    return None

        held = await self._database.write(work)
        if held is not None:
            await self._carry(held.task_run, held)

    async def hand_over(self, *, grace: timedelta) -> None:
        """Take nothing new, let what runs end within the grace, and give the rest back to the queue."""
        self._draining = True
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._held.until_empty()
        except TimeoutError:
            log.info("worker.hands_over", count=len(self._held))

    # ---- carrying

    async def _carry(self, task_run: TaskRun | None, held: HeldTask | None = None) -> None:
        while task_run is not None:
            held = held or HeldTask(task_run=task_run)
            self._held.add(held)
            try:
                outcome = await self._attempts.run(held, attached=held.handle)
                task_run = await self._database.write(partial(self._conclude, held=held, outcome=outcome))
            except asyncio.CancelledError:
                await asyncio.shield(self._give_back(held))
                raise
            finally:
                self._held.remove(held)
            held = None

    async def _conclude(self, unit: UnitOfWork, *, held: HeldTask, outcome: Outcome) -> TaskRun | None:
        """End the attempt; gives the child to go on with, claimed. Nothing changes where the claim was lost."""
        task_run = held.task_run
        ledger = await unit.open_ledger(task_run.playground_id)
        if ledger is None:
            return None
        if outcome.status is TaskRunStatus.FAILED and await self._retry(unit, ledger, held, outcome):
            return None
        at = outcome.ended_at
        if not await ledger.transition(
            task_run,
            outcome.status,
            at=at,
            held_by=self._worker_id,
            message=outcome.error_message,
            ended_at=at,
            worker_id=None,
            **_error_columns(outcome),
            **_output_columns(outcome),
        ):
            return None
        await self._record(unit, held, outcome)
        ready: Sequence[TaskRun] = ()
        ended = 1
        if outcome.status is TaskRunStatus.SUCCESS:
            ready = await unit.runs.count_off_parent(task_run.id)
        elif outcome.status is TaskRunStatus.FAILED:
            ended += await fail_dependents(unit, ledger, task_run, at=at)
        following = await self._queue(unit, ledger, ready, at=at)
        await finish_if_done(unit, ledger, task_run.run_id, ended=ended, at=at, more=bool(ready))
        return following

    async def _queue(
        self, unit: UnitOfWork, ledger: Ledger, ready: Sequence[TaskRun], *, at: datetime
    ) -> TaskRun | None:
        """Claim the first of the ready task runs for this worker, and queue the others."""
        if not ready:
            return None
        mine, others = (None, ready) if self._draining else (ready[0], ready[1:])
        if others:
            queued = await ledger.transition_all(
                others[0].run_id, TaskRunStatus.QUEUED, at=at, among=[row.id for row in others], queued_at=at
            )
            unit.outbox.jobs.extend(Job(name=JobName.EXECUTE_TASK, id=task_run_id) for task_run_id in queued)
        if mine is None or not await self._claim(ledger, mine, at=at, via=TaskRunStatus.QUEUED, queued_at=at):
            return None
        return mine

    async def _claim_queued(self, ledger: Ledger, task_run: TaskRun) -> HeldTask | None:
        at = utc_now()
        if task_run.queued_at is not None and task_run.queued_at > at + CLOCK_SLACK:
            return None  # a retry that is not due: its own job comes when it is
        return HeldTask(task_run=task_run) if await self._claim(ledger, task_run, at=at) else None

    async def _claim(
        self,
        ledger: Ledger,
        task_run: TaskRun,
        *,
        at: datetime,
        via: TaskRunStatus | None = None,
        **values: Any,
    ) -> bool:
        """QUEUED → RUNNING in a new attempt of this worker; `task_run` is brought up to date."""
        fresh = {
            "attempt": task_run.attempt + 1,
            "started_at": at,
            "worker_id": self._worker_id,
            "handle": None,
            "handle_durable": False,
            "error_code": None,
            "error_message": None,
            "error_retriable": None,
            **values,
        }
        if not await ledger.transition(task_run, TaskRunStatus.RUNNING, at=at, via=via, **fresh):
            return False
        assume(task_run, status=TaskRunStatus.RUNNING, **fresh)
        return True

    # ---- what does not end well

    async def _retry(self, unit: UnitOfWork, ledger: Ledger, held: HeldTask, outcome: Outcome) -> bool:
        task_run = held.task_run
        retries = task_run.attempt - task_run.losses
        if not outcome.retriable or retries > task_run.max_retries or held.stop.is_set():
            return False
        run = await unit.runs.fresh(task_run.run_id)
        if run is None or run.cancel_requested:
            return False
        delay = backoff(task_run.retry_delay_ms, retries)
        due = outcome.ended_at + delay
        held.note(f"Attempt {task_run.attempt} failed: {outcome.error_message} Again at {due:%H:%M:%S}.", at=utc_now())
        moved = await ledger.transition(
            task_run,
            TaskRunStatus.QUEUED,
            at=outcome.ended_at,
            held_by=self._worker_id,
            message=outcome.error_message,
            queued_at=due,
            worker_id=None,
            **_error_columns(outcome),
        )
        if moved:
            await self._record(unit, held, outcome)
            unit.outbox.jobs.append(Job(name=JobName.EXECUTE_TASK, id=task_run.id, not_before=due))
        return True

    async def _take_over(self, unit: UnitOfWork, ledger: Ledger, task_run: TaskRun) -> HeldTask | None:
        """Go on with what a dead worker held: re-attach by its handle, or begin a new attempt."""
        if task_run.worker_id is not None and await unit.workers.exists(task_run.worker_id):
            return None
        at = utc_now()
        if task_run.handle is not None and task_run.handle_durable:
            if not await unit.runs.adopt(task_run, worker_id=self._worker_id):
                return None
            last = await unit.logs.last_sequence(task_run.id)
            held = HeldTask(task_run=task_run, handle=Handle(text=task_run.handle, durable=True), last_sequence=last)
            held.note("The worker was lost; another has re-attached to the work in the engine.", at=at)
            return held
        lost = Outcome(
            status=TaskRunStatus.FAILED,
            ended_at=at,
            error_code="WORKER_LOST",
            error_message="The worker that ran this attempt was lost.",
        )
        before = HeldTask(task_run=task_run, last_sequence=await unit.logs.last_sequence(task_run.id))
        before.note("The worker was lost; the attempt runs again.", at=at)
        await self._record(unit, before, lost)
        if task_run.losses + 1 >= MAX_LOSSES:
            await ledger.transition(
                task_run,
                TaskRunStatus.FAILED,
                at=at,
                message=lost.error_message,
                ended_at=at,
                worker_id=None,
                losses=task_run.losses + 1,
                **_error_columns(lost),
            )
            ended = 1 + await fail_dependents(unit, ledger, task_run, at=at)
            await finish_if_done(unit, ledger, task_run.run_id, ended=ended, at=at)
            return None
        await ledger.transition(
            task_run,
            TaskRunStatus.QUEUED,
            at=at,
            message=lost.error_message,
            queued_at=at,
            worker_id=None,
            losses=task_run.losses + 1,
        )
        assume(task_run, losses=task_run.losses + 1)
        return HeldTask(task_run=task_run) if await self._claim(ledger, task_run, at=at) else None

    async def _give_back(self, held: HeldTask) -> None:
        """This process must go: what can be re-attached to is left running, the rest is queued anew."""
        task_run = held.task_run
        durable = held.handle is not None and held.handle.durable
        if not durable:
            await held.cancel_in_engine()

        async def work(unit: UnitOfWork) -> None:
            ledger = await unit.open_ledger(task_run.playground_id)
            if ledger is None:
                return
            at = utc_now()
            if durable:
                await unit.runs.release(task_run, worker_id=self._worker_id)
            elif await ledger.transition(
                task_run,
                TaskRunStatus.QUEUED,
                at=at,
                held_by=self._worker_id,
                message="The worker was stopped and has given the task back.",
                queued_at=at,
                worker_id=None,
                losses=TaskRun.losses + 1,
            ):
                await self._record(
                    unit,
                    held,
                    Outcome(
                        status=TaskRunStatus.CANCELLED,
                        ended_at=at,
                        error_code="HANDED_OVER",
                        error_message="The worker was stopped.",
                    ),
                )
            unit.outbox.jobs.append(Job(name=JobName.EXECUTE_TASK, id=task_run.id))

        await self._database.write(work)

    async def _record(self, unit: UnitOfWork, held: HeldTask, outcome: Outcome) -> None:
        task_run = held.task_run
        await unit.runs.record_attempt(
            task_run_id=task_run.id,
            attempt=task_run.attempt,
            status=outcome.status,
            worker_id=task_run.worker_id,
            handle=task_run.handle or (held.handle.text if held.handle else None),
            started_at=task_run.started_at or outcome.ended_at,
            ended_at=outcome.ended_at,
            error_code=outcome.error_code,
            error_message=outcome.error_message,
            output_location=outcome.output.location if outcome.output else None,
        )
        await unit.logs.append(task_run.id, held.lines)


def backoff(first_ms: int, attempt: int) -> timedelta:
    """The delay before the next attempt: doubled each time, up to an hour, give or take a quarter."""
    doubled = timedelta(milliseconds=first_ms * 2 ** min(max(attempt - 1, 0), 30))
    return min(doubled, MAX_BACKOFF) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


def _error_columns(outcome: Outcome) -> dict[str, Any]:
    return {
        "error_code": outcome.error_code,
        "error_message": outcome.error_message,
        "error_retriable": None if outcome.error_code is None else outcome.retriable,
    }


def _output_columns(outcome: Outcome) -> dict[str, Any]:
    output = outcome.output
    if output is None:
        return {}
    return {
        "output_location": output.location,
        "output_format": output.format,
        "output_delimiter": output.delimiter,
        "output_size_bytes": output.size_bytes,
        "output_row_count": output.row_count,
        "output_columns": [{"name": column.name, "type": column.type} for column in output.columns],
    }
