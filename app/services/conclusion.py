"""The end of attempts: recorded, counted off the children, and followed by what waits for nothing else."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.domain.identity import utc_now
from app.domain.status import TaskRunStatus
from app.engines.base import LOST
from app.models import TaskRun
from app.services.attempt import Outcome
from app.services.claims import BUSY, MAX_LOSSES, Busy, Claims, job_of
from app.services.held_work import HeldTask
from app.services.records import error_columns, output_columns, record_attempts
from app.services.rollup import fail_dependents, finish_all
from app.services.slots import Place, Slots, place_of
from app.store.ledgers import Ledgers
from app.store.unit_of_work import UnitOfWork

MAX_BACKOFF = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    held: HeldTask
    outcome: Outcome
    wants_more: bool  # whether the worker would go on with a child
    wants_next: bool  # or else with what waits in the same lane: slots are scarce, and no other playground waits


class Conclusion:
    def __init__(self, *, claims: Claims, slots: Slots, worker_id: UUID) -> None:
        self._claims = claims
        self._slots = slots
        self._worker_id = worker_id

    async def conclude(self, unit: UnitOfWork, ends: Sequence[End], *, wait: bool) -> list[TaskRun | Busy | None]:
        """End the attempts; gives each the child to go on with, claimed, or None.

        An end whose claim was lost changes nothing. `wait`: for playgrounds that somebody else has locked; else their
        ends are BUSY.
        """
        wanted = {end.held.task_run.playground_id for end in ends}
        ledgers = await unit.open_ledgers(wanted, wait=wait)
        busy = () if wait else {playground_id for playground_id in wanted if playground_id not in ledgers}
        open_ends = [end for end in ends if end.held.task_run.playground_id in ledgers]
        following = await self._conclude(unit, ledgers, open_ends)
        return [BUSY if end.held.task_run.playground_id in busy else following.get(id(end)) for end in ends]

    async def _conclude(self, unit: UnitOfWork, ledgers: Ledgers, ends: Sequence[End]) -> dict[int, TaskRun]:
        closing = [end for end in ends if not await self._retry(unit, ledgers, end)]
        held = closing if closing and await self._end(ledgers, closing) else []
        if not held:
            return {}
        await record_attempts(unit, [(end.held, end.outcome) for end in held])
        for end in held:
            if end.outcome.status is TaskRunStatus.FAILED:
                ledger = ledgers[end.held.task_run.playground_id]
                await fail_dependents(unit, ledger, end.held.task_run, at=end.outcome.ended_at)
        succeeded = [end for end in held if end.outcome.status is TaskRunStatus.SUCCESS]
        ready = await unit.runs.count_off_parents([end.held.task_run.id for end in succeeded])
        at = max(end.outcome.ended_at for end in held)
        following = self._followers([end for end in succeeded if end.wants_more], ready)
        kept = {row.id for row in following.values()}
        await self._claims.queue(unit, ledgers, [row for row in ready if row.id not in kept], at=at)
        await self._claims.claim(ledgers, list(following.values()), at=at, via=TaskRunStatus.QUEUED, queued_at=at)
        following |= await self._next(unit, ledgers, [end for end in held if id(end) not in following], at=at)
        await finish_all(
            unit, ledgers, {end.held.task_run.run_id for end in held} - {row.run_id for row in ready}, at=at
        )
        return following

    async def _next(
        self, unit: UnitOfWork, ledgers: Ledgers, ends: Sequence[End], *, at: datetime
    ) -> dict[int, TaskRun]:
        """By the end's id(): what waits longest in its playground and lane, claimed in its stead."""
        wanting: dict[tuple[UUID, Place], list[End]] = {}
        for end in ends:
            if end.wants_next:
                wanting.setdefault((end.held.task_run.playground_id, place_of(end.held.task_run)), []).append(end)
        found: dict[int, TaskRun] = {}
        for (playground_id, place), those in wanting.items():
            rows = await unit.waiting.oldest(playground_id, place, limit=len(those))
            found |= {id(end): row for end, row in zip(those, rows, strict=False)}
        await self._claims.claim(ledgers, list(found.values()), at=at)
        return found

    def _followers(self, ends: Sequence[End], ready: Sequence[TaskRun]) -> dict[int, TaskRun]:
        """By the end's id(): the ready task run that its worker goes on with, in the slot of the one that has ended."""
        following: dict[int, TaskRun] = {}
        left = list(ready)
        for end in ends:
            child = next((row for row in left if self._may_follow(end.held, row)), None)
            if child is not None:
                left.remove(child)
                following[id(end)] = child
        return following

    def _may_follow(self, held: HeldTask, child: TaskRun) -> bool:
        of_one_run = held.task_run.run_id == child.run_id
        return of_one_run and (held.slot is None or self._slots.may_move(held.slot, place_of(child)))

    async def _end(self, ledgers: Ledgers, ends: Sequence[End]) -> bool:
        """False where the only one was lost; of several, one that was lost has each be concluded alone."""
        values = [
            (
                end.held.task_run,
                {
                    "status": end.outcome.status,
                    "ended_at": end.outcome.ended_at,
                    **error_columns(end.outcome),
                    **output_columns(end.outcome),
                },
            )
            for end in ends
        ]
        return await ledgers.end_all(values, held_by=self._worker_id)

    async def _retry(self, unit: UnitOfWork, ledgers: Ledgers, end: End) -> bool:
        """Queue another attempt after a transient failure, or a loss; True where the end is thereby dealt with."""
        held, outcome = end.held, end.outcome
        task_run = held.task_run
        retries = task_run.attempt - task_run.losses
        lost = outcome.error_code == LOST and task_run.losses + 1 < MAX_LOSSES  # no retry, as when its worker is lost
        if not (lost or (outcome.retriable and retries <= task_run.max_retries)) or held.stop.is_set():
            return False
        run = await unit.runs.fresh(task_run.run_id)
        if run is None or run.cancel_requested:
            return False
        ledger = ledgers[task_run.playground_id]
        delay = timedelta() if lost else backoff(task_run.retry_delay_ms, retries)
        due = ledger.now + delay
        held.note(
            f"Attempt {task_run.attempt} failed: {outcome.error_message} Again in {delay.total_seconds():.3g} s.",
            at=utc_now(),
        )
        moved = await ledger.transition(
            task_run,
            TaskRunStatus.QUEUED,
            at=outcome.ended_at,
            held_by=self._worker_id,
            message=outcome.error_message,
            queued_at=due,
            worker_id=None,
            losses=task_run.losses + lost,
            **error_columns(outcome),
        )
        if moved:
            await record_attempts(unit, [(held, outcome)])
            unit.outbox.jobs.append(job_of(task_run, not_before=due))
        return True


def backoff(first_ms: int, attempt: int) -> timedelta:
    """The delay before the next attempt: doubled each time, up to an hour, give or take a quarter."""
    doubled = timedelta(milliseconds=first_ms * 2 ** min(max(attempt - 1, 0), 30))
    return min(doubled, MAX_BACKOFF) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
