"""Tables of user-defined functions: the JARs, the functions in them, and who has them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.udfs import UdfKind
from app.models.base import TABLE_OPTIONS, Base, LongText, Word


class Jar(Base):
    """A file of the output store, kept once for all functions in it and for every run that had one.

    Its row comes before its file and goes before it too, and a JAR that comes back has another place: so no row that
    is `stored` names a file that is not there. The foreign keys that lead here keep it.
    """

    __tablename__ = "jar"
    __table_args__ = (Index("ix_jar_touched_at", "touched_at"), TABLE_OPTIONS)

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    location: Mapped[str] = mapped_column(String(700))
    stored: Mapped[bool] = mapped_column(default=False)
    touched_at: Mapped[datetime]  # when somebody last came to it, or left it


class Udf(Base):
    __tablename__ = "udf"
    __table_args__ = (
        UniqueConstraint("owner_id", "name"),
        UniqueConstraint("owner_id", "function_key"),
        Index("ix_udf_owner_id_id", "owner_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(LongText)
    function_name: Mapped[str] = mapped_column(String(128))
    function_key: Mapped[str] = mapped_column(String(128))  # in lower case: SQL takes my_lower and MY_LOWER for one
    class_name: Mapped[str] = mapped_column(String(500))
    kind: Mapped[UdfKind] = mapped_column(Word(UdfKind))
    parameter_types: Mapped[list[str]] = mapped_column(JSON)
    return_type: Mapped[str | None] = mapped_column(String(1000))
    jar_sha256: Mapped[str] = mapped_column(String(64), ForeignKey("jar.sha256"), index=True)
    jar_size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


class TaskUdf(Base):
    """A function that a task's text may call."""

    __tablename__ = "task_udf"
    __table_args__ = TABLE_OPTIONS

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    udf_id: Mapped[UUID] = mapped_column(ForeignKey("udf.id", ondelete="CASCADE"), primary_key=True, index=True)


class TaskRunJar(Base):
    """A JAR that a task run's snapshot names: it stays while the history has the run."""

    __tablename__ = "task_run_jar"
    __table_args__ = TABLE_OPTIONS

    task_run_id: Mapped[UUID] = mapped_column(ForeignKey("task_run.id", ondelete="CASCADE"), primary_key=True)
    jar_sha256: Mapped[str] = mapped_column(String(64), ForeignKey("jar.sha256"), primary_key=True, index=True)
