"""Keyset pages: the rows after or before a key, in a fixed order, never by offset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageRequest:
    """`size` rows after the key `after`, or before the key `before`; `backward` takes them from the end."""

    size: int
    after: UUID | None = None
    before: UUID | None = None
    backward: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Row]):
    rows: Sequence[Row]
    has_next: bool
    has_previous: bool


async def newest_first(
    session: AsyncSession, query: Select[Row], key: InstrumentedAttribute[UUID], request: PageRequest
) -> Page[Row]:
    """A page of `query` by descending `key`: UUIDv7 keys are in the order of creation."""
    if request.after is not None:
        query = query.where(key < request.after)
    if request.before is not None:
        query = query.where(key > request.before)
    ordered = query.order_by(key.asc() if request.backward else key.desc()).limit(request.size + 1)
    rows: list[Any] = list((await session.scalars(ordered)).all())
    more = len(rows) > request.size
    rows = rows[: request.size]
    if request.backward:
        rows.reverse()
        return Page(rows=rows, has_previous=more, has_next=request.before is not None)
    return Page(rows=rows, has_next=more, has_previous=request.after is not None)
