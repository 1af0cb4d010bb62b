"""Tables of runs: the snapshot of the tasks, their attempts, the event log and the log lines."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.dispatch import Pool
from app.domain.outputs import OutputFormat
from app.domain.parameters import ParameterValue
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.models.base import TABLE_OPTIONS, Base, LongText, Word


class Run(Base):
    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("playground_id", "number"),
        UniqueConstraint("playground_id", "idempotency_key"),
        UniqueConstraint("playground_id", "scheduled_for", "series"),
        Index("ix_run_backfill_id_status", "backfill_id", "status"),
        Index("ix_run_status_created_at", "status", "created_at"),
        Index("ix_run_history", "playground_id", "id", "status", "trigger"),  # all that a page of runs is chosen by
        Index("ix_run_ended_at", "ended_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"))
    number: Mapped[int]
    trigger: Mapped[RunTrigger] = mapped_column(Word(RunTrigger))
    status: Mapped[RunStatus] = mapped_column(Word(RunStatus))
    message: Mapped[str | None] = mapped_column(String(500))
    scheduled_for: Mapped[datetime | None]
    series: Mapped[str] = mapped_column(String(32), default="")  # who counts fires by themselves; empty: the schedule
    moment: Mapped[datetime | None]  # what `scheduled_for` stands for in the tasks' texts
    parameters: Mapped[dict[str, ParameterValue] | None] = mapped_column(JSON)
    overrides: Mapped[dict[str, ParameterValue] | None] = mapped_column(JSON)  # those of them that are the run's own
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    resumed_from_id: Mapped[UUID | None]
    backfill_id: Mapped[UUID | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(200))


class TaskRun(Base):
    """One task in one run, as it was when the run started, with the state of its latest attempt."""

    __tablename__ = "task_run"
    __table_args__ = (
        UniqueConstraint("run_id", "position"),
        Index("ix_task_run_run_id_status", "run_id", "status"),
        Index("ix_task_run_status_queued_at", "status", "queued_at"),
        Index("ix_task_run_dispatch", "status", "playground_id", "pool", "lane", "queued_at"),
        Index("ix_task_run_worker_id", "worker_id"),
        Index("ix_task_run_task_id_id", "task_id", "id"),
        Index("ix_task_run_output_of_id", "output_of_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    playground_id: Mapped[UUID]
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("task.id", ondelete="SET NULL"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[TaskType] = mapped_column(Word(TaskType))
    query: Mapped[str] = mapped_column(LongText)
    rendered_query: Mapped[str | None] = mapped_column(LongText)  # None where the query is no template
    connection: Mapped[str | None] = mapped_column(String(100))
    max_retries: Mapped[int]
    retry_delay_ms: Mapped[int]
    timeout_ms: Mapped[int | None] = mapped_column(BigInteger)
    asked_format: Mapped[OutputFormat] = mapped_column(  # what the task wants; `output_format` is what there is
        Word(OutputFormat), default=OutputFormat.CSV, server_default=str(OutputFormat.CSV)
    )
    udfs: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # of app.domain.udfs.TakenUdf
    checks: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # of app.domain.checks

    status: Mapped[TaskRunStatus] = mapped_column(Word(TaskRunStatus))
    pool: Mapped[Pool] = mapped_column(Word(Pool))
    lane: Mapped[str] = mapped_column(String(100))  # the engine's name; empty where none was configured at the start
    pending_parents: Mapped[int]  # parents that have not succeeded yet
    attempt: Mapped[int]
    losses: Mapped[int] = mapped_column(default=0)  # attempts whose worker died; they count as no retry
    queued_at: Mapped[datetime | None]  # for a retry: when it may start
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    worker_id: Mapped[UUID | None]
    handle: Mapped[str | None] = mapped_column(String(500))
    handle_durable: Mapped[bool] = mapped_column(default=False)
    carried_over: Mapped[bool] = mapped_column(default=False)
    output_of_id: Mapped[UUID | None]  # the task run that made a carried-over output, and named its place in the store

    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(LongText)
    error_retriable: Mapped[bool | None]

    output_location: Mapped[str | None] = mapped_column(String(700))
    output_format: Mapped[OutputFormat | None] = mapped_column(Word(OutputFormat))
    output_delimiter: Mapped[str | None] = mapped_column(String(4))
    output_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    output_row_count: Mapped[int | None] = mapped_column(BigInteger)
    output_columns: Mapped[list[dict[str, str]] | None] = mapped_column(JSON)
    check_results: Mapped[list[dict[str, Any]] | None] = mapped_column(  # in the order of `checks`
        JSON(none_as_null=True)
    )
    output_pruned_at: Mapped[datetime | None]  # when the file was deleted by the rules of retention

    @property
    def text(self) -> str:
        """What the engine gets."""
        return self.query if self.rendered_query is None else self.rendered_query


class TaskRunEdge(Base):
    __tablename__ = "task_run_edge"
    __table_args__ = TABLE_OPTIONS

    parent_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True)
    child_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True, index=True)


class TaskAttempt(Base):
    """One ended attempt; there is exactly one row for each attempt that was started and ended."""

    __tablename__ = "task_attempt"
    __table_args__ = TABLE_OPTIONS

    task_run_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[TaskRunStatus] = mapped_column(Word(TaskRunStatus))
    worker_id: Mapped[UUID | None]
    handle: Mapped[str | None] = mapped_column(String(500))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(LongText)
    error_retriable: Mapped[bool | None]
    output_location: Mapped[str | None] = mapped_column(String(700))


class Event(Base):
    """One change of status. `sequence` counts the events of a playground without a gap, in the order of commit."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_run_id_sequence", "run_id", "sequence"), TABLE_OPTIONS)

    playground_id: Mapped[UUID] = mapped_column(ForeignKey("playground.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    task_run_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int | None]
    at: Mapped[datetime]
    message: Mapped[str | None] = mapped_column(String(500))


class LogLine(Base):
    __tablename__ = "log_line"
    __table_args__ = TABLE_OPTIONS

    task_run_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    at: Mapped[datetime]
    stream: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(LongText)


class DispatchLock(Base):
    """One row: who holds it is the only one to hand out slots, so that limits of the whole platform are kept."""

    __tablename__ = "dispatch_lock"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Worker(Base):
    """A process that holds work; its one heartbeat is the lease of all that it holds."""

    __tablename__ = "worker"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime] = mapped_column(index=True)
