"""Keyset pages: the rows after or before a key, in a fixed order, never by offset."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, inspect, select
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
    ordered = _between(query, key, request).order_by(_order(key, request)).limit(request.size + 1)
    return _page(list((await session.scalars(ordered)).all()), request)


async def newest_first_of_each(
    session: AsyncSession,
    query: Select[Row],
    key: InstrumentedAttribute[UUID],
    request: PageRequest,
    *,
    parent: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None],
    parents: Collection[UUID],
) -> Mapping[UUID, Page[Row]]:
    """The same page of many lists, each of one parent, in one statement."""
    rows = await first_of_each(
        session,
        _between(query, key, request),
        parent=parent,
        parents=parents,
        order=_order(key, request),
        limit=request.size + 1,
    )
    return {each: _page(list(rows[each]), request) for each in parents}


async def first_of_each(
    session: AsyncSession,
    query: Select[Row],
    *,
    parent: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None],
    parents: Collection[UUID],
    order: ColumnElement[Any],
    limit: int,
) -> Mapping[UUID, Sequence[Row]]:
    """The first `limit` rows of each parent by `order`, in one statement."""
    found: dict[UUID, list[Row]] = {each: [] for each in parents}
    entity = parent.class_
    keys = inspect(entity).primary_key
    # The keys alone are chosen first, from an index that has all that is filtered and ordered by: left to itself,
    # MariaDB walks the whole table backwards until it has found enough.
    if len(found) == 1:
        (only,) = found
        chosen = query.where(parent == only).with_only_columns(*keys).order_by(order).limit(limit).subquery()
    else:
        place = func.row_number().over(partition_by=parent, order_by=order).label("place")
        ranked = query.where(parent.in_(found)).with_only_columns(*keys, place).subquery()
        chosen = select(ranked).where(ranked.c.place <= limit).subquery()
    rows = select(entity).join(chosen, and_(*(column == chosen.c[column.key] for column in keys)))
    for row in await session.scalars(rows.order_by(parent, order)):
        found[getattr(row, parent.key)].append(row)
    return found


def _between(query: Select[Row], key: InstrumentedAttribute[UUID], request: PageRequest) -> Select[Row]:
    if request.after is not None:
        query = query.where(key < request.after)
    if request.before is not None:
        query = query.where(key > request.before)
    return query


def _order(key: InstrumentedAttribute[UUID], request: PageRequest) -> ColumnElement[UUID]:
    return key.asc() if request.backward else key.desc()


def _page(rows: list[Any], request: PageRequest) -> Page[Any]:
    """Of the rows that were asked for, and one more that tells whether there are others behind."""
    more = len(rows) > request.size
    rows = rows[: request.size]
    if request.backward:
        rows.reverse()
        return Page(rows=rows, has_previous=more, has_next=request.before is not None)
    return Page(rows=rows, has_next=more, has_previous=request.after is not None)
