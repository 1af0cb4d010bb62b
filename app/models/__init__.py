"""ORM tables, and nothing else."""

from app.models.accounts import Role, Session, User
from app.models.backfills import Backfill, BackfillFire
from app.models.base import Base
from app.models.outputs import DiscardedFile
from app.models.playgrounds import Playground, Task, TaskEdge
from app.models.reconciliation import Reconciliation, ReconciliationEvent, ReconciliationRun
from app.models.runs import DispatchLock, Event, LogLine, Run, TaskAttempt, TaskRun, TaskRunEdge, Worker
from app.models.udfs import Jar, TaskRunJar, TaskUdf, Udf

__all__ = [
    "Backfill",
    "BackfillFire",
    "Base",
    "DiscardedFile",
    "DispatchLock",
    "Event",
    "Jar",
    "LogLine",
    "Playground",
    "Reconciliation",
    "ReconciliationEvent",
    "ReconciliationRun",
    "Role",
    "Run",
    "Session",
    "Task",
    "TaskAttempt",
    "TaskEdge",
    "TaskRun",
    "TaskRunEdge",
    "TaskRunJar",
    "TaskUdf",
    "Udf",
    "User",
    "Worker",
]
