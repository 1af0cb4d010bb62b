"""Live feeds: what the database tells, pushed to whoever follows, with one reader for each topic and process.

A follower is attached to the feed first and then catches up from its own cursor to the place where the feed stands:
nothing is lost between the two, and nothing comes twice. A follower that cannot keep up is detached and catches up
again from the database, so that it never slows the others or holds their memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.messaging.bell import Bell
from app.store.database import DatabaseAwayError

Row = TypeVar("Row")
PAGE = 500
BACKLOG = 64  # batches that may wait for one follower
RETRY_DELAY = 1.0
SHARED_SECONDS = 0.25  # a server that comes back is asked for the same by all its clients at once

log = structlog.get_logger()


Encoded = dict[Hashable, bytes | asyncio.Task[bytes]]


class Batch(Generic[Row]):
    """All rows after a position, up to the cursor, told together; who selects the same shares their encoded form."""

    __slots__ = ("after", "cursor", "encoded", "rows")

    def __init__(self, rows: Sequence[Row], *, after: int, cursor: int) -> None:
        self.rows = rows
        self.after = after
        self.cursor = cursor
        self.encoded: Encoded = {}


Fetch = Callable[[int, int], Awaitable[Sequence[Row]]]  # (after, limit) -> rows in order
Position = Callable[[Row], int]
Over = Callable[[], Awaitable[bool]]  # whether no row can come any more; asked before the rows are fetched


class Feed(Generic[Row]):
    """One topic: a reader that fetches each new row once, and the followers that it hands the batches to."""

    def __init__(
        self, *, topic: str, bell: Bell, fetch: Fetch[Row], position: Position[Row], over: Over | None
    ) -> None:
        self._topic = topic
        self._bell = bell
        self._fetch = fetch
        self._position = position
        self._over = over
        self._followers: set[_Follower[Row]] = set()
        self._rung = asyncio.Event()
        self._at: int | None = None
        self._pages: dict[int, asyncio.Task[_Page[Row]]] = {}
        self.users = 0

    async def run(self, ready: asyncio.Event) -> None:
        """Read until cancelled; `ready` is set as soon as no ring can be missed any more."""
        async with self._bell.listening(self._topic, self._rung.set):
            ready.set()
            while True:
                await self._rung.wait()
                self._rung.clear()
                try:
                    await self._read()
                except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("feed.read_failed", topic=self._topic, reason=str(error))
                    await asyncio.sleep(RETRY_DELAY)
                    self._rung.set()

    async def _read(self) -> None:
        while self._at is not None:
            over = self._over is not None and await self._over()
            after = self._at
            rows = await self._fetch(after, PAGE)
            if rows:
                batch = Batch(rows, after=after, cursor=self._position(rows[-1]))
                self._at = batch.cursor
                for follower in self._followers:
                    follower.push(batch)
            if len(rows) < PAGE:
                if over:
                    for follower in self._followers:
                        follower.finish(self._at)
                return

    async def follow(self, after: int) -> AsyncGenerator[Batch[Row]]:
        """Batches of all rows after the position `after`, then of every new one, until the feed is over."""
        cursor = after
        while True:
            stood = self._at
            page = await self._page(cursor)
            if page.batch is not None:
                cursor = page.batch.cursor
                yield page.batch
                if len(page.batch.rows) == PAGE:
                    continue
            if page.over:
                return
            if self._at is not None and self._at > cursor and self._at != stood:
                self._pages.pop(cursor, None)
                continue  # the reader has found more meanwhile
            follower = self._attach(cursor)
            try:
                async for batch in self._fresh(follower, cursor):
                    cursor = batch.cursor
                    yield batch
                if follower.finished_at is not None and follower.finished_at <= cursor:
                    return
            finally:
                self._followers.discard(follower)
            self._pages.pop(cursor, None)  # it led here; the next look is a new one

    def _attach(self, cursor: int) -> "_Follower[Row]":
        # A reader that stands beyond the last row was led there by a follower whose cursor is no row's.
        if self._at is None or self._at > cursor or not self._followers:
            self._at = cursor
        follower = _Follower[Row]()
        self._followers.add(follower)
        self._rung.set()  # a row that came between the look and the attachment is read now
        return follower

    async def _fresh(self, follower: "_Follower[Row]", cursor: int) -> AsyncGenerator[Batch[Row]]:
        """What the reader hands over, without what is known already, until it overflows, ends, or leaves a gap."""
        async for batch in follower.batches():
            if batch.after > cursor:
                return  # the reader stood further on: what lies between is caught up with
            fresh = self._past(cursor, batch)
            if fresh is not None:
                cursor = fresh.cursor
                yield fresh

    async def _page(self, after: int) -> "_Page[Row]":
        """What comes after a position; those who ask at the same moment share the look, and what is made of it."""
        asked = self._pages.get(after)
        if asked is None:
            asked = self._pages[after] = asyncio.create_task(self._look(after), name=f"page of {self._topic}")
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget, after, asked)
        return await asyncio.shield(asked)  # one who goes away takes nothing from the others

    def _forget(self, after: int, asked: "asyncio.Task[_Page[Row]]") -> None:
        if self._pages.get(after) is asked:
            del self._pages[after]

    async def _look(self, after: int) -> "_Page[Row]":
        over = self._over is not None and await self._over()
        rows = await self._fetch(after, PAGE)
        return _Page(over=over, batch=Batch(rows, after=after, cursor=self._position(rows[-1])) if rows else None)

    def _past(self, cursor: int, batch: Batch[Row]) -> Batch[Row] | None:
        """What of a batch lies past the cursor: a reader that stood behind tells again what was caught up with."""
        if batch.cursor <= cursor:
            return None
        if self._position(batch.rows[0]) > cursor:
            return batch
        rows = [row for row in batch.rows if self._position(row) > cursor]
        return Batch(rows, after=cursor, cursor=batch.cursor)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page(Generic[Row]):
    """Rows found at one look; `over` was asked before them."""

    over: bool
    batch: Batch[Row] | None


class _Follower(Generic[Row]):
    """The waiting batches of one follower; on overflow it ends, and its owner catches up by its cursor."""

    def __init__(self) -> None:
        self._waiting: deque[Batch[Row]] = deque()
        self._news = asyncio.Event()
        self._overflown = False
        self.finished_at: int | None = None

    def finish(self, at: int) -> None:
        """No row will come after the position `at`."""
        self.finished_at = at
        self._news.set()

    def push(self, batch: Batch[Row]) -> None:
        if len(self._waiting) >= BACKLOG:
            self._overflown = True
            self._waiting.clear()
        if not self._overflown:
            self._waiting.append(batch)
        self._news.set()

    async def batches(self) -> AsyncGenerator[Batch[Row]]:
        while not self._overflown:
            await self._news.wait()
            self._news.clear()
            while self._waiting and not self._overflown:
                yield self._waiting.popleft()
            if self.finished_at is not None and not self._waiting:
                return


class Feeds:
    """The feeds of this process; each runs while somebody uses it."""

    def __init__(self, *, bell: Bell) -> None:
        self._bell = bell
        self._feeds: dict[str, Feed[Any]] = {}
        self._readers: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    @asynccontextmanager
    async def using(
        self, key: str, *, topic: str, fetch: Fetch[Row], position: Position[Row], over: Over | None = None
    ) -> AsyncGenerator[Feed[Row]]:
        """The feed of this key, read at each ring of the topic, as long as the block lasts."""
        feed: Feed[Row] | None = self._feeds.get(key)
        if feed is None:
            feed = Feed(topic=topic, bell=self._bell, fetch=fetch, position=position, over=over)
            ready = asyncio.Event()
            self._feeds[key] = feed
            self._readers[key] = (asyncio.create_task(feed.run(ready), name=f"feed {key}"), ready)
        feed.users += 1
        try:
            await self._readers[key][1].wait()
            yield feed
        finally:
            feed.users -= 1
            if not feed.users:
                del self._feeds[key]
                self._readers.pop(key)[0].cancel()
