"""The end of a run: rolled up in the transaction that ends its last task run."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from app.domain.events import backfill_topic, cancel_topic
from app.domain.graph import descendants
from app.domain.status import RUN_TRANSITIONS, TaskRunStatus, roll_up, sources_of
from app.models import Run, TaskRun
from app.services.comparison_launch import follow_runs
from app.store.ledger import Ledger
from app.store.ledgers import Ledgers
from app.store.unit_of_work import UnitOfWork


async def finish_if_done(unit: UnitOfWork, ledger: Ledger, run_id: UUID, *, at: datetime) -> bool:
    """Where no task run is open any more, end the run and set the playground free."""
    return bool(await finish_all(unit, unit.these(ledger), [run_id], at=at))


async def finish_all(unit: UnitOfWork, ledgers: Ledgers, run_ids: Collection[UUID], *, at: datetime) -> int:
    """End those of the runs in which no task run is open any more; tells how many."""
    found = await unit.runs.statuses_of(run_ids)
    over = [run_id for run_id in run_ids if all(status.ended for status in found[run_id])]
    if not over:
        return 0
    runs = {
        run: roll_up(found[run.id], cancel_requested=run.cancel_requested) for run in await unit.runs.fresh_many(over)
    }
    ending = [(run, status) for run, status in runs.items() if run.status in sources_of(RUN_TRANSITIONS, status)]
    if ending:
        await ledgers.end_runs(ending, at=at)
        await follow_runs(unit, dict(ending), at=at)
    if any(run.backfill_id is not None for run, _ in ending):
        unit.outbox.ring(backfill_topic())
    return len(ending)


async def cancel_open(unit: UnitOfWork, ledger: Ledger, run: Run, *, at: datetime) -> None:
    """Cancel what waits in a run that is on, and have the workers stop what they run."""
    await unit.runs.request_cancel(run.id)
    ledger.record(run_id=run.id, status=run.status, at=at, message="Cancelling was asked for.")
    waiting = (TaskRunStatus.PENDING, TaskRunStatus.QUEUED)
    await ledger.transition_all(run.id, TaskRunStatus.CANCELLED, at=at, sources=waiting, ended_at=at)
    await finish_if_done(unit, ledger, run.id, at=at)
    unit.outbox.ring(cancel_topic())


async def fail_dependents(unit: UnitOfWork, ledger: Ledger, failed: TaskRun, *, at: datetime) -> None:
    """Everything that depends on a failed task run is UPSTREAM_FAILED."""
    below = descendants(await unit.runs.children_of_run(failed.run_id), failed.id)
    if not below:
        return
    await ledger.transition_all(
        failed.run_id,
        TaskRunStatus.UPSTREAM_FAILED,
        at=at,
        among=below,
        message=f"«{failed.name}» failed.",
        ended_at=at,
    )
