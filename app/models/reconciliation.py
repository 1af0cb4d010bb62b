"""Tables of reconciliations and their runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.status import ReconciliationStatus
from app.models.base import TABLE_OPTIONS, Base, LongText, Word


class Reconciliation(Base):
    __tablename__ = "reconciliation"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[UUID] = mapped_column(primary_key=True)
    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"), index=True)
    left_task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), index=True)
    right_task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), index=True)
    mapping: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


class ReconciliationRun(Base):
    """One comparison of two outputs, with the mapping and the options that it was started with."""

    __tablename__ = "reconciliation_run"
    __table_args__ = (
        UniqueConstraint("reconciliation_id", "idempotency_key"),
        Index("ix_reconciliation_run_reconciliation_id_id", "reconciliation_id", "id"),
        Index("ix_reconciliation_run_status", "status"),
        Index("ux_reconciliation_run_of_run", "reconciliation_id", "run_id", unique=True),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reconciliation_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation.id", ondelete="CASCADE"))
    playground_id: Mapped[UUID]
    run_id: Mapped[UUID | None]  # the run that it follows; None where somebody has asked for it
    left_task_run_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), index=True)
    right_task_run_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), index=True)
    mapping: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    idempotency_key: Mapped[str | None] = mapped_column(String(200))

    status: Mapped[ReconciliationStatus] = mapped_column(Word(ReconciliationStatus))
    progress: Mapped[float]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    event_sequence: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[UUID | None]
    losses: Mapped[int] = mapped_column(default=0, server_default="0")  # workers that have died over it
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(LongText)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    samples: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    differences_location: Mapped[str | None] = mapped_column(String(700))
    differences_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    differences_pruned_at: Mapped[datetime | None]  # when the file was deleted by the rules of retention


class ReconciliationEvent(Base):
    __tablename__ = "reconciliation_event"
    __table_args__ = TABLE_OPTIONS

    reconciliation_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("reconciliation_run.id", ondelete="CASCADE"), primary_key=True
    )
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    status: Mapped[ReconciliationStatus] = mapped_column(Word(ReconciliationStatus))
    progress: Mapped[float]
    message: Mapped[str | None] = mapped_column(String(500))
