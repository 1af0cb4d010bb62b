"""The end of a run: rolled up in the transaction that ends its last task run."""

from datetime import datetime
from uuid import UUID

from app.domain.events import backfill_topic, cancel_topic
from app.domain.graph import descendants
from app.domain.status import TaskRunStatus, roll_up
from app.models import Run, TaskRun
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork


async def finish_if_done(unit: UnitOfWork, ledger: Ledger, run_id: UUID, *, at: datetime) -> bool:
    """Where no task run is open any more, end the run and set the playground free."""
    if await ledger.has_open_tasks(run_id):
        return False
    run = await unit.runs.fresh(run_id)
    if run is None:
        return False
    status = roll_up(await unit.runs.statuses(run_id), cancel_requested=run.cancel_requested)
    started = {} if run.started_at is not None else {"started_at": at}
    if not await ledger.transition_run(run_id, status, at=at, ended_at=at, **started):
        return False
    if ledger.playground.active_run_id == run_id:
        ledger.change_playground(active_run_id=None)
    if run.backfill_id is not None:
        unit.outbox.ring(backfill_topic())
    return True


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
