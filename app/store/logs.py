"""SQL of the log lines of task runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.events import Outbox, log_topic
from app.models import LogLine
from app.models.base import table_of


class LogStore:
    def __init__(self, *, session: AsyncSession, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox

    async def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append lines; each row has `task_run_id`, `sequence`, `attempt`, `at`, `stream` and `text`.

        A line that is there stays: this may be the second try of a commit whose answer was lost.
        """
        if not rows:
            return
        new = insert(table_of(LogLine)).prefix_with("IGNORE", dialect="mysql").prefix_with("IGNORE", dialect="mariadb")
        await self._session.execute(new.prefix_with("OR IGNORE", dialect="sqlite"), rows)
        for task_run_id in {row["task_run_id"] for row in rows}:
            self._outbox.ring(log_topic(task_run_id))

    async def last_sequence(self, task_run_id: UUID) -> int:
        query = select(func.max(LogLine.sequence)).where(LogLine.task_run_id == task_run_id)
        return await self._session.scalar(query) or 0

    async def after(self, task_run_id: UUID, sequence: int, *, limit: int) -> Sequence[LogLine]:
        query = (
            select(LogLine)
            .where(LogLine.task_run_id == task_run_id, LogLine.sequence > sequence)
            .order_by(LogLine.sequence)
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()
