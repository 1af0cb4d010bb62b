"""The table of files that nothing refers to any more."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import TABLE_OPTIONS, Base


class DiscardedFile(Base):
    """A file or folder of the output store that is to be deleted, written by the transaction that let go of it.

    So a process that is killed between that commit and the deletion leaves no file behind.
    """

    __tablename__ = "discarded_file"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[UUID] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(String(700))
    created_at: Mapped[datetime]
