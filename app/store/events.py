"""Event log statements for many playgrounds at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class EventsPast:
    """The events of a playground after a position, or those of one run among them."""

    playground_id: UUID
    run_id: UUID | None
    after: int

    def holds(self, row: Event) -> bool:
        return row.sequence > self.after and (self.run_id is None or row.run_id == self.run_id)


class EventStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def past(self, places: Sequence[EventsPast], *, limit: int) -> Sequence[Event]:
        """The events past all of these places, and perhaps more of their playgrounds; in order within each."""
        size = 1 << (len(places) - 1).bit_length()
        padded = [*places, *[places[-1]] * (size - len(places))]
        values: dict[str, Any] = {"most": limit}
        for number, place in enumerate(padded):
            values[f"p{number}"], values[f"s{number}"] = place.playground_id, place.after
        return (await self._session.scalars(_past(size), values)).all()


@lru_cache(maxsize=16)
def _past(size: int) -> Select[Event]:
    """Sizes are powers of two, so that a handful of statements is built and compiled; each place is a range."""
    ranges = (
        and_(Event.playground_id == bindparam(f"p{number}"), Event.sequence > bindparam(f"s{number}"))
        for number in range(size)
    )
    return select(Event).where(or_(*ranges)).order_by(Event.playground_id, Event.sequence).limit(bindparam("most"))
