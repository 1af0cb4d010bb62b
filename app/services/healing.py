"""Healing: a run that nothing moves any more goes on, or ends, as its edges and statuses say.

The run engine leaves no such run behind: its every transaction queues what it sets free. This is for what was written
past the one door, by a restored backup, by hand, or by a fault that nobody has thought of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.domain.healing import heal
from app.domain.identity import utc_now
from app.domain.status import RunStatus, TaskRunStatus
from app.models import Run
from app.services.claims import job_of
from app.services.rollup import finish_if_done
from app.store.database import Database
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

BATCH = 100
MESSAGE = "The run stood still, and was set going again."

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Healed:
    runs: int
    playgrounds: int


class HealingService:
    """`grace`: how long nothing has happened in a run that counts as stuck. `turn` is called as work goes on."""

    def __init__(
        self,
        *,
        database: Database,
        grace: timedelta,
        clock: Callable[[], datetime] = utc_now,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._grace = grace
        self._clock = clock
        self._turn = turn

    async def heal(self) -> Healed:
        """Any number may heal: each looks again under the playground's lock."""
        before = self._clock() - self._grace
        async with self._database.read() as unit:
            runs = await unit.stuck.runs(before=before, limit=BATCH)
            playgrounds = await unit.stuck.playgrounds(limit=BATCH)
        healed = freed = 0
        for run in runs:
            healed += await self._heal(run, before)
            self._turn()
        for playground_id in playgrounds:
            freed += await self._free(playground_id)
            self._turn()
        return Healed(runs=healed, playgrounds=freed)

    async def _heal(self, run: Run, before: datetime) -> bool:
        async def work(unit: UnitOfWork) -> RunStatus | None:
            ledger = await unit.open_ledger(run.playground_id)
            if ledger is None or not await unit.stuck.runs(before=before, run_id=run.id, limit=1):
                return None
            at = self._clock()
            ledger.record(run_id=run.id, status=run.status, at=at, message=MESSAGE)
            if run.cancel_requested:
                await ledger.transition_all(run.id, TaskRunStatus.CANCELLED, at=at, ended_at=at)
            else:
                await _set_going(unit, ledger, run.id, at=at)
            if not await ledger.has_open_tasks(run.id):
                await ledger.transition_run(run.id, RunStatus.RUNNING, at=at, started_at=at)  # where it never was
                await finish_if_done(unit, ledger, run.id, at=at)
            now = await unit.runs.fresh(run.id)
            return None if now is None else now.status

        status = await self._database.write(work)
        if status is not None:
            log.warning("run.healed", run_id=run.id.hex, playground_id=run.playground_id.hex, status=str(status))
        return status is not None

    async def _free(self, playground_id: UUID) -> bool:
        async def work(unit: UnitOfWork) -> bool:
            ledger = await unit.open_ledger(playground_id)
            active = None if ledger is None else ledger.playground.active_run_id
            if ledger is None or active is None:
                return False
            run = await unit.runs.fresh(active)
            if run is not None and not run.status.ended:
                return False
            ledger.change_playground(active_run_id=None)
            return True

        freed = await self._database.write(work)
        if freed:
            log.warning("playground.freed", playground_id=playground_id.hex)
        return freed


async def _set_going(unit: UnitOfWork, ledger: Ledger, run_id: UUID, *, at: datetime) -> None:
    rows = {row.id: row for row in await unit.runs.task_runs_of([run_id])}
    needs = heal({id_: row.status for id_, row in rows.items()}, await unit.stuck.parents_of_run(run_id))
    await unit.stuck.set_pending_parents({**needs.waiting, **dict.fromkeys(needs.ready, 0)})
    await ledger.transition_all(
        run_id,
        TaskRunStatus.UPSTREAM_FAILED,
        at=at,
        among=needs.doomed,
        message="Something above it did not succeed.",
        ended_at=at,
    )
    queued = await ledger.transition_all(run_id, TaskRunStatus.QUEUED, at=at, among=needs.ready, queued_at=ledger.now)
    unit.outbox.jobs.extend(job_of(rows[task_run_id]) for task_run_id in queued)
