"""What is sent after a commit: rings of the doorbell, and jobs for the workers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class JobName(StrEnum):
    START_RUN = "start_run"
    EXECUTE_TASK = "execute_task"
    RECONCILE = "reconcile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job carries an id, never an object; `not_before` defers it."""

    name: JobName
    id: UUID
    not_before: datetime | None = None


@dataclass(kw_only=True, slots=True)
class Outbox:
    """What a transaction wants sent once it is durable; a ring names a topic that has news in the database."""

    jobs: list[Job] = field(default_factory=list)
    rings: dict[str, None] = field(default_factory=dict)

    def ring(self, topic: str) -> None:
        self.rings[topic] = None


def playground_topic(playground_id: UUID) -> str:
    return f"playground:{playground_id.hex}"


def reconciliation_topic(reconciliation_run_id: UUID) -> str:
    return f"reconciliation:{reconciliation_run_id.hex}"


def log_topic(task_run_id: UUID) -> str:
    return f"log:{task_run_id.hex}"


def cancel_topic() -> str:
    """One topic for all: a worker that hears it looks up which of the work it holds is to be stopped."""
    return "cancel"
