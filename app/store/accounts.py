"""SQL of people and sessions."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Session, User


class AccountStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add_user(self, **values: Any) -> None:
        await self._session.execute(insert(User).values(**values))

    async def count_users(self) -> int:
        return await self._session.scalar(select(func.count()).select_from(User)) or 0

    async def user(self, user_id: UUID) -> User | None:
        return await self._session.scalar(select(User).where(User.id == user_id))

    async def users(self, ids: Collection[UUID]) -> Sequence[User]:
        return (await self._session.scalars(select(User).where(User.id.in_(ids)))).all()

    async def user_by_email(self, email: str) -> User | None:
        return await self._session.scalar(select(User).where(User.email == email))

    async def user_taking(self, *, email: str, username: str) -> User | None:
        return await self._session.scalar(
            select(User).where(or_(User.email == email, User.username == username)).limit(1)
        )

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        await self._session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))

    async def add_session(self, **values: Any) -> None:
        await self._session.execute(insert(Session).values(**values))

    async def session_with_user(self, session_id: UUID) -> tuple[Session, User] | None:
        query = select(Session, User).join(User, User.id == Session.user_id).where(Session.id == session_id)
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def rotate(self, session_id: UUID, *, old_hash: str, new_hash: str, expires_at: datetime) -> bool:
        """Exchange the refresh token as a compare-and-set; False where another call was first."""
        result = await self._session.execute(
            update(Session)
            .where(Session.id == session_id, Session.refresh_token_hash == old_hash, Session.revoked_at.is_(None))
            .values(refresh_token_hash=new_hash, previous_token_hash=old_hash, expires_at=expires_at)
        )
        return isinstance(result, CursorResult) and result.rowcount == 1

    async def revoke(self, session_id: UUID, *, at: datetime) -> None:
        await self._session.execute(
            update(Session).where(Session.id == session_id, Session.revoked_at.is_(None)).values(revoked_at=at)
        )
