"""Which comparison a worker does next: the people who wait for one take turns.

A job says that there is work, the database says which: first goes who has the fewest at work, of these who was served
longest ago, and of one person's what has waited longest. A backfill's thousand comparisons do not keep another's
single one waiting.
"""

from datetime import datetime
from uuid import UUID

from app.domain.identity import utc_now
from app.domain.status import ReconciliationStatus
from app.models import ReconciliationRun
from app.store.reconciliations import Waiting
from app.store.unit_of_work import UnitOfWork

MAX_LOSSES = 3  # workers that may die over one comparison, before it is taken to be at fault itself
LOOKS = 3  # at what waits; between two of them, others may have taken all that was seen

_DEADLY = (
    f"{MAX_LOSSES} workers died while they compared these outputs: look for want of memory on their machines, or bound "
    "the comparing process by `reconciliation_settings.memory_limit`."
)


class ComparisonClaims:
    def __init__(self, *, worker_id: UUID) -> None:
        self._worker_id = worker_id
        self._turn = 0
        self._turns: dict[UUID, int] = {}  # whose run this worker claimed when, of those who have more that wait

    async def claim(self, unit: UnitOfWork, run_id: UUID) -> ReconciliationRun | None:
        """The next run, RUNNING by this worker; None where nothing waits.

        `run_id` is the job's own: where a dead worker has left it, it waits anew, and has its turn with the others.
        """
        at = utc_now()
        await self._take_over(unit, run_id, at=at)
        for _ in range(LOOKS):
            waiting = await self._by_turns(unit)
            for each in waiting:
                if (run := await self._start(unit, each.run_id, at=at)) is not None:
                    self._turn += 1
                    self._turns[each.owner_id] = self._turn
                    return run
            if not waiting:
                return None
        return None

    async def _by_turns(self, unit: UnitOfWork) -> list[Waiting]:
        waiting = await unit.reconciliations.waiting()
        at_work = await unit.reconciliations.at_work() if len(waiting) > 1 else {}
        self._turns = {each.owner_id: self._turns.get(each.owner_id, 0) for each in waiting}
        return sorted(
            waiting, key=lambda each: (at_work.get(each.owner_id, 0), self._turns[each.owner_id], each.run_id)
        )

    async def _start(self, unit: UnitOfWork, run_id: UUID, *, at: datetime) -> ReconciliationRun | None:
        run = await unit.reconciliations.run(run_id, lock=True)
        if run is None or run.status is not ReconciliationStatus.PENDING:
            return None
        if run.cancel_requested:  # given back after it was cancelled
            await unit.reconciliations.transition(run, ReconciliationStatus.CANCELLED, at=at, ended_at=at)
            return None
        await unit.reconciliations.transition(
            run, ReconciliationStatus.RUNNING, at=at, worker_id=self._worker_id, started_at=at, progress=0.0
        )
        return await unit.reconciliations.run(run_id)

    async def _take_over(self, unit: UnitOfWork, run_id: UUID, *, at: datetime) -> None:
        run = await unit.reconciliations.run(run_id, lock=True)
        if run is None or run.status is not ReconciliationStatus.RUNNING:
            return
        if run.worker_id is not None and await unit.workers.exists(run.worker_id):
            return
        losses = run.losses + 1
        if losses < MAX_LOSSES:
            message = "The worker was lost; the comparison starts again."
            await unit.reconciliations.transition(
                run, ReconciliationStatus.PENDING, at=at, message=message, worker_id=None, losses=losses
            )
            return
        await unit.reconciliations.transition(
            run,
            ReconciliationStatus.FAILED,
            at=at,
            message=_DEADLY,
            worker_id=None,
            losses=losses,
            ended_at=at,
            error_code="LOST",
            error_message=_DEADLY,
        )
