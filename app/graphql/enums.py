"""The vocabularies of the domain as enums of the schema; imported before any type that uses one."""

import strawberry

from app.domain.errors import ErrorCode
from app.domain.outputs import OutputFormat
from app.domain.playgrounds import PlaygroundStatus
from app.domain.reconciliation.options import ReconciliationMethod
from app.domain.reconciliation.result import DifferenceKind
from app.domain.schedule import CatchupPolicy
from app.domain.status import ReconciliationStatus, RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.models import Role

strawberry.enum(TaskType, name="TaskType", description="The language of a task's text.")
strawberry.enum(
    CatchupPolicy, name="CatchupPolicy", description="What to do with fire times missed while nothing was running."
)
strawberry.enum(PlaygroundStatus, name="PlaygroundStatus", description="Whether a run is on.")
strawberry.enum(RunTrigger, name="RunTrigger", description="Why a run was started.")
strawberry.enum(RunStatus, name="RunStatus", description="Where a run stands.")
strawberry.enum(TaskRunStatus, name="TaskRunStatus", description="Where a task run stands.")
strawberry.enum(OutputFormat, name="OutputFormat", description="How an output is written.")
strawberry.enum(Role, name="Role", description="What an account may do.")
strawberry.enum(
    ReconciliationMethod, name="ReconciliationMethod", description="How the answer is found; it is the same by both."
)
strawberry.enum(ReconciliationStatus, name="ReconciliationStatus", description="Where a reconciliation run stands.")
strawberry.enum(DifferenceKind, name="DifferenceKind", description="How a row differs, or that it does not.")
strawberry.enum(ErrorCode, name="ErrorCode", description="What kind of refusal it is.")
