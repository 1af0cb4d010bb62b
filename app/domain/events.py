"""What is sent after a commit: rings of the doorbell, and jobs for the workers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.dispatch import Pool


class JobName(StrEnum):
    EXECUTE_TASKS = "execute_tasks"
    RECONCILE = "reconcile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job carries ids, never an object; `not_before` defers it.

    `lane` is where it waits: workers with room in that lane take it up, all of them where it is None. Jobs of one
    playground and lane travel together.
    """

    name: JobName
    id: UUID
    playground_id: UUID | None = None
    lane: tuple[Pool, str] | None = None
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


def every_topic() -> str:
    """A ring of this one is a ring of all: somebody died between a commit and its rings, or could not ring."""
    return ""


def backfill_topic() -> str:
    """One topic for all: whoever hears it looks up which backfills have room for another run."""
    return "backfill"


def cancel_topic() -> str:
    """One topic for all: a worker that hears it looks up which of the work it holds is to be stopped."""
    return "cancel"
