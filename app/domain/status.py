"""Statuses of runs, task runs and reconciliation runs, and the transitions between them.

Only a store's `transition()` writes a status, as a compare-and-set guarded by `sources_of(target)`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar


class TaskRunStatus(StrEnum):
    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return not TASK_RUN_TRANSITIONS[self]


class RunStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return not RUN_TRANSITIONS[self]


class ReconciliationStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return not RECONCILIATION_TRANSITIONS[self]


class BackfillStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return self is not BackfillStatus.RUNNING


class RunTrigger(StrEnum):
    SCHEDULED = "SCHEDULED"
    AD_HOC = "AD_HOC"
    LIMITED = "LIMITED"
    RESUME = "RESUME"
    BACKFILL = "BACKFILL"


_T = TaskRunStatus
TASK_RUN_TRANSITIONS: Mapping[TaskRunStatus, frozenset[TaskRunStatus]] = {
    _T.PENDING: frozenset({_T.QUEUED, _T.SKIPPED, _T.UPSTREAM_FAILED, _T.CANCELLED}),
    _T.QUEUED: frozenset({_T.RUNNING, _T.SKIPPED, _T.UPSTREAM_FAILED, _T.CANCELLED}),
    _T.RUNNING: frozenset({_T.SUCCESS, _T.FAILED, _T.CANCELLED, _T.QUEUED}),  # QUEUED: a new attempt only
    _T.SUCCESS: frozenset(),
    _T.FAILED: frozenset(),
    _T.UPSTREAM_FAILED: frozenset(),
    _T.SKIPPED: frozenset(),
    _T.CANCELLED: frozenset(),
}

_R = RunStatus
RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    _R.PENDING: frozenset({_R.RUNNING, _R.CANCELLED}),
    _R.RUNNING: frozenset({_R.SUCCESS, _R.PARTIAL_SUCCESS, _R.FAILED, _R.CANCELLED}),
    _R.SUCCESS: frozenset(),
    _R.PARTIAL_SUCCESS: frozenset(),
    _R.FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
}

_C = ReconciliationStatus
RECONCILIATION_TRANSITIONS: Mapping[ReconciliationStatus, frozenset[ReconciliationStatus]] = {
    _C.PENDING: frozenset({_C.RUNNING, _C.CANCELLED, _C.FAILED}),
    _C.RUNNING: frozenset({_C.SUCCESS, _C.FAILED, _C.CANCELLED, _C.PENDING}),  # PENDING: taken over from a dead worker
    _C.SUCCESS: frozenset(),
    _C.FAILED: frozenset(),
    _C.CANCELLED: frozenset(),
}


Status = TypeVar("Status", bound=StrEnum)


def sources_of(transitions: Mapping[Status, frozenset[Status]], target: Status) -> tuple[Status, ...]:
    """The statuses from which `target` may be reached in one step."""
    return tuple(source for source, targets in transitions.items() if target in targets)


def roll_up(statuses: Iterable[TaskRunStatus], *, cancel_requested: bool) -> RunStatus:
    """The status of a run whose task runs have all ended.

    CANCELLED where cancelling was asked for and cut something short; SUCCESS where nothing failed; FAILED where
    nothing succeeded; else PARTIAL_SUCCESS. SKIPPED counts neither way.
    """
    seen = set(statuses)
    if cancel_requested and TaskRunStatus.CANCELLED in seen:
        return RunStatus.CANCELLED
    if not seen & {TaskRunStatus.FAILED, TaskRunStatus.UPSTREAM_FAILED, TaskRunStatus.CANCELLED}:
        return RunStatus.SUCCESS
    return RunStatus.PARTIAL_SUCCESS if TaskRunStatus.SUCCESS in seen else RunStatus.FAILED


def roll_up_runs(runs: Mapping[RunStatus, int], *, cancelled: bool) -> BackfillStatus:
    """The status of a backfill that has nothing more to do; `cancelled` says that it was cut short."""
    if cancelled:
        return BackfillStatus.CANCELLED
    seen = {status for status, count in runs.items() if count}
    if seen <= {RunStatus.SUCCESS}:
        return BackfillStatus.SUCCESS
    return (
        BackfillStatus.PARTIAL_SUCCESS
        if seen & {RunStatus.SUCCESS, RunStatus.PARTIAL_SUCCESS}
        else BackfillStatus.FAILED
    )
