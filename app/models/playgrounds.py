"""Tables of playgrounds, their tasks, and the edges between these."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.outputs import OutputFormat
from app.domain.parameters import ParameterValue
from app.domain.schedule import CatchupPolicy
from app.domain.tasks import TaskType
from app.models.base import TABLE_OPTIONS, Base, LongText, Word


class Playground(Base):
    """Its row is also the lock and the counter of its event stream, and holds the run that is on."""

    __tablename__ = "playground"
    __table_args__ = (
        UniqueConstraint("owner_id", "name"),
        Index("ix_playground_owner_id_id", "owner_id", "id"),
        Index("ix_playground_next_fire_at", "next_fire_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]

    parameters: Mapped[dict[str, ParameterValue] | None] = mapped_column(JSON)  # None: none were ever given

    schedule_cron: Mapped[str | None] = mapped_column(String(200))
    schedule_timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    schedule_paused: Mapped[bool] = mapped_column(default=False)
    schedule_catchup: Mapped[CatchupPolicy] = mapped_column(Word(CatchupPolicy), default=CatchupPolicy.SKIP)
    next_fire_at: Mapped[datetime | None]

    active_run_id: Mapped[UUID | None]
    active_backfill_id: Mapped[UUID | None]
    last_run_number: Mapped[int] = mapped_column(default=0)
    event_sequence: Mapped[int] = mapped_column(BigInteger, default=0)


class Task(Base):
    __tablename__ = "task"
    __table_args__ = (UniqueConstraint("playground_id", "name"), TABLE_OPTIONS)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[TaskType] = mapped_column(Word(TaskType))
    query: Mapped[str] = mapped_column(LongText)
    connection: Mapped[str | None] = mapped_column(String(100))
    max_retries: Mapped[int]
    retry_delay_ms: Mapped[int]
    timeout_ms: Mapped[int | None] = mapped_column(BigInteger)
    output_format: Mapped[OutputFormat] = mapped_column(
        Word(OutputFormat), default=OutputFormat.CSV, server_default=str(OutputFormat.CSV)
    )
    checks: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # of app.domain.checks
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


class TaskEdge(Base):
    __tablename__ = "task_edge"
    __table_args__ = TABLE_OPTIONS

    parent_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    child_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True, index=True)
    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"), index=True)
