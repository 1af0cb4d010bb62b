"""Live feeds of runs, playgrounds and logs: who may follow them, where they start, when they end."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.events import log_topic, playground_topic
from app.domain.identity import Viewer
from app.domain.status import RunStatus
from app.models import Event, LogLine
from app.services.event_reads import EventReads
from app.services.following import Place
from app.services.live import Feeds, Following
from app.services.playgrounds import not_found
from app.store.database import Database

ENDED = frozenset(str(status) for status in RunStatus if status.ended)


class RunFeeds:
    def __init__(self, *, database: Database, feeds: Feeds) -> None:
        self._database = database
        self._feeds = feeds
        self._reads = EventReads(database=database)

    def run(self, viewer: Viewer, run_id: UUID, *, after: int | None) -> Following[Event]:
        """From the start of the run, or after a cursor, to its end; raises NotFoundError when it is begun."""
        return Following(feeds=self._feeds, find=lambda: self._place_of_run(viewer, run_id, after))

    def playground(self, viewer: Viewer, playground_id: UUID, *, after: int | None) -> Following[Event]:
        """Every run's events, from now on or after a cursor, without end; raises NotFoundError when it is begun."""
        return Following(feeds=self._feeds, find=lambda: self._place_of_playground(viewer, playground_id, after))

    def log(self, viewer: Viewer, task_run_id: UUID, *, after: int | None) -> Following[LogLine]:
        """The lines of every attempt, from the first or after a cursor, until the task run has ended.

        Raises NotFoundError when it is begun.
        """
        return Following(feeds=self._feeds, find=lambda: self._place_of_log(viewer, task_run_id, after))

    async def _place_of_run(self, viewer: Viewer, run_id: UUID, after: int | None) -> Place[Event] | None:
        async with self._database.read() as unit:
            run = await unit.runs.get(run_id, owner_id=viewer.user_id)
            playground = None if run is None else await unit.playgrounds.get(run.playground_id)
        if run is None or playground is None:
            raise not_found("run", path=("runId",))
        playground_id = playground.id
        if after is not None:  # a cursor beyond the last event would hide the run's end
            after = min(after, playground.event_sequence)

        async def fetch(position: int, limit: int) -> Sequence[Event]:
            async with self._database.read() as unit:
                return await unit.runs.events_after(playground_id, position, limit=limit, run_id=run_id)

        async def news(position: int, limit: int) -> Sequence[Event]:
            return await self._reads.events_after(playground_id, position, limit=limit, run_id=run_id)

        if run.status.ended and after is not None and not await fetch(after, 1):
            return None  # a client that has seen the end comes back: there is nothing to wait for
        return Place(
            key=f"run:{run_id.hex}",
            topic=playground_topic(playground_id),
            fetch=fetch,
            news=news,
            position=_sequence,
            last=_ends_its_run,
            after=after or 0,
        )

    async def _place_of_playground(self, viewer: Viewer, playground_id: UUID, after: int | None) -> Place[Event]:
        async with self._database.read() as unit:
            playground = await unit.playgrounds.get(playground_id, owner_id=viewer.user_id)
        if playground is None:
            raise not_found("playground", path=("playgroundId",))

        async def fetch(position: int, limit: int) -> Sequence[Event]:
            async with self._database.read() as unit:
                return await unit.runs.events_after(playground_id, position, limit=limit)

        async def news(position: int, limit: int) -> Sequence[Event]:
            return await self._reads.events_after(playground_id, position, limit=limit)

        return Place(
            key=f"playground:{playground_id.hex}",
            topic=playground_topic(playground_id),
            fetch=fetch,
            news=news,
            position=_sequence,
            after=playground.event_sequence if after is None else after,
        )

    async def _place_of_log(self, viewer: Viewer, task_run_id: UUID, after: int | None) -> Place[LogLine]:
        async with self._database.read() as unit:
            if await unit.runs.task_run(task_run_id, owner_id=viewer.user_id) is None:
                raise not_found("task run", path=("taskRunId",))

        async def over() -> bool:
            async with self._database.read() as unit:
                task_run = await unit.runs.task_run(task_run_id)
            return task_run is None or task_run.status.ended

        async def fetch(position: int, limit: int) -> Sequence[LogLine]:
            async with self._database.read() as unit:
                return await unit.logs.after(task_run_id, position, limit=limit)

        return Place(
            key=f"log:{task_run_id.hex}",
            topic=log_topic(task_run_id),
            fetch=fetch,
            position=_log_sequence,
            over=over,
            after=after or 0,
        )


def _ends_its_run(row: Event) -> bool:
    return row.task_run_id is None and row.status in ENDED


def _sequence(row: Event) -> int:
    return row.sequence


def _log_sequence(row: LogLine) -> int:
    return row.sequence
