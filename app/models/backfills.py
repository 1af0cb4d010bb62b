"""Tables of backfills: runs of a playground for a range of past fire times."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.status import BackfillStatus
from app.models.base import TABLE_OPTIONS, Base, Word


class Backfill(Base):
    __tablename__ = "backfill"
    __table_args__ = (
        Index("ix_backfill_playground_id_id", "playground_id", "id"),
        Index("ix_backfill_status", "status"),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"))
    status: Mapped[BackfillStatus] = mapped_column(Word(BackfillStatus))
    from_at: Mapped[datetime]
    until_at: Mapped[datetime]
    cron: Mapped[str] = mapped_column(String(200))  # as the schedule was when the fire times were told
    timezone: Mapped[str] = mapped_column(String(64))
    max_concurrent_runs: Mapped[int]
    rerun: Mapped[bool]
    fire_count: Mapped[int]  # of those that were to run
    left_out_count: Mapped[int]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class BackfillFire(Base):
    """A fire time of a backfill that has no run yet; the row goes in the transaction that makes the run."""

    __tablename__ = "backfill_fire"
    __table_args__ = TABLE_OPTIONS

    backfill_id: Mapped[UUID] = mapped_column(ForeignKey("backfill.id", ondelete="CASCADE"), primary_key=True)
    fire_at: Mapped[datetime] = mapped_column(primary_key=True)
