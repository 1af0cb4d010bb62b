"""Live feeds of runs, playgrounds and logs: who may follow them, where they start, when they end."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import UUID

from app.domain.events import log_topic, playground_topic
from app.domain.identity import Viewer
from app.domain.status import RunStatus
from app.models import Event, LogLine
from app.services.live import Batch, Feeds
from app.services.playgrounds import not_found
from app.store.database import Database

ENDED = frozenset(str(status) for status in RunStatus if status.ended)


class RunFeeds:
    def __init__(self, *, database: Database, feeds: Feeds) -> None:
        self._database = database
        self._feeds = feeds

    async def run(self, viewer: Viewer, run_id: UUID, *, after: int | None) -> AsyncGenerator[Batch[Event]]:
        """From the start of the run, or after a cursor, to its end.

        Raises: NotFoundError.
        """
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

        if run.status.ended and after is not None and not await fetch(after, 1):
            return  # a client that has seen the end comes back: there is nothing to wait for
        async with (
            self._feeds.using(
                f"run:{run_id.hex}", topic=playground_topic(playground_id), fetch=fetch, position=_sequence
            ) as feed,
            aclosing(feed.follow(after or 0)) as batches,
        ):
            async for batch in batches:
                yield batch
                if any(row.task_run_id is None and row.status in ENDED for row in batch.rows):
                    return

    async def playground(
        self, viewer: Viewer, playground_id: UUID, *, after: int | None
    ) -> AsyncGenerator[Batch[Event]]:
        """Every run's events, from now on or after a cursor, without end.

        Raises: NotFoundError.
        """
        async with self._database.read() as unit:
            playground = await unit.playgrounds.get(playground_id, owner_id=viewer.user_id)
        if playground is None:
            raise not_found("playground", path=("playgroundId",))

        async def fetch(position: int, limit: int) -> Sequence[Event]:
            async with self._database.read() as unit:
                return await unit.runs.events_after(playground_id, position, limit=limit)

        async with (
            self._feeds.using(
                f"playground:{playground_id.hex}",
                topic=playground_topic(playground_id),
                fetch=fetch,
                position=_sequence,
            ) as feed,
            aclosing(feed.follow(playground.event_sequence if after is None else after)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def log(self, viewer: Viewer, task_run_id: UUID, *, after: int | None) -> AsyncGenerator[Batch[LogLine]]:
        """The lines of every attempt, from the first or after a cursor, until the task run has ended.

        Raises: NotFoundError.
        """
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

        async with (
            self._feeds.using(
                f"log:{task_run_id.hex}",
                topic=log_topic(task_run_id),
                fetch=fetch,
                position=_log_sequence,
                over=over,
            ) as feed,
            aclosing(feed.follow(after or 0)) as batches,
        ):
            async for batch in batches:
                yield batch


def _sequence(row: Event) -> int:
    return row.sequence


def _log_sequence(row: LogLine) -> int:
    return row.sequence
