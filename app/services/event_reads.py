"""Reads of the event log for many feeds at once: what is asked for while a statement is under way is one statement."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.models import Event
from app.store.database import Database
from app.store.events import EventsPast

AT_ONCE = 2  # statements under way, so that one that is slow does not hold up everybody
PLACES = 128  # in one statement
ROWS = 2_000  # of one statement; more come by another


@dataclass(kw_only=True, slots=True, eq=False)
class _Wanted:
    past: EventsPast
    limit: int
    found: asyncio.Future[Sequence[Event]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, rows: Sequence[Event]) -> None:
        if not self.found.done():
            self.found.set_result(rows[: self.limit])


class EventReads:
    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Wanted] = deque()
        self._readers: set[asyncio.Task[None]] = set()

    async def events_after(
        self, playground_id: UUID, after: int, *, limit: int, run_id: UUID | None = None
    ) -> Sequence[Event]:
        """The next events of a playground, or of one run of it. Raises: DatabaseAwayError."""
        wanted = _Wanted(past=EventsPast(playground_id=playground_id, run_id=run_id, after=after), limit=limit)
        self._waiting.append(wanted)
        if len(self._readers) < AT_ONCE:
            reader = asyncio.create_task(self._read_all(), name="event reads")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return await wanted.found

    async def _read_all(self) -> None:
        while self._waiting:
            asked = [self._waiting.popleft() for _ in range(min(PLACES, len(self._waiting)))]
            asked = [wanted for wanted in asked if not wanted.found.done()]  # the others have gone away
            try:
                if len(asked) == 1:
                    await self._read_alone(asked[0])
                elif asked:
                    await self._read_together(asked)
            except Exception as error:  # noqa: BLE001 - whoever asked is told, whatever it is
                for wanted in asked:
                    if not wanted.found.done():
                        wanted.found.set_exception(error)
                        wanted.found.exception()  # it counts as heard, should who asked go away before

    async def _read_alone(self, wanted: _Wanted) -> None:
        past = wanted.past
        async with self._database.read() as unit:
            wanted.give(
                await unit.runs.events_after(past.playground_id, past.after, limit=wanted.limit, run_id=past.run_id)
            )

    async def _read_together(self, asked: Sequence[_Wanted]) -> None:
        async with self._database.read() as unit:
            rows = await unit.events.past([wanted.past for wanted in asked], limit=ROWS)
        found: dict[UUID, list[Event]] = {}
        for row in rows:
            found.setdefault(row.playground_id, []).append(row)
        # Where the rows were cut, the last playground's may be too few, and those that have none may not have come yet.
        cut = rows[-1].playground_id if len(rows) >= ROWS else None
        for wanted in asked:
            own = found.get(wanted.past.playground_id, [])
            if cut is None or (own and wanted.past.playground_id != cut):
                wanted.give([row for row in own if wanted.past.holds(row)])
            elif own:
                await self._read_alone(wanted)
            else:
                self._waiting.append(wanted)
