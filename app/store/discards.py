"""SQL of the files that nothing refers to any more."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.identity import new_id
from app.models import DiscardedFile


class DiscardStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add(self, prefixes: Collection[str], *, at: datetime) -> None:
        """Have files or folders of the output store deleted, once this transaction is committed."""
        if prefixes:
            rows = [{"id": new_id(), "prefix": prefix, "created_at": at} for prefix in sorted(prefixes)]
            await self._session.execute(insert(DiscardedFile), rows)

    async def page(self, *, after: UUID | None, limit: int) -> Sequence[DiscardedFile]:
        query = select(DiscardedFile).order_by(DiscardedFile.id).limit(limit)
        if after is not None:
            query = query.where(DiscardedFile.id > after)
        return (await self._session.scalars(query)).all()

    async def remove(self, ids: Collection[UUID]) -> None:
        await self._session.execute(delete(DiscardedFile).where(DiscardedFile.id.in_(ids)))
