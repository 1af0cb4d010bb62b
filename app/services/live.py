"""Live feeds: what the database tells, pushed to whoever follows, with one reader for each topic and process.

A follower catches up from its own cursor to the place where the feed stands, and is attached there: nothing is lost
between the two, and nothing comes twice. From then on the reader's own step tells it every batch, without a task, a
queue or a wake-up of its own. Whoever has no room is detached, holds no memory meanwhile, and catches up again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.messaging.bell import Bell
from app.services.following import Backlog, Batch, Follower, Listener, Place, Row
from app.store.database import DatabaseAwayError

PAGE = 500
RETRY_DELAY = 1.0
SHARED_SECONDS = 0.25  # a server that comes back is asked for the same by all its clients at once
FORM_SECONDS = 0.1  # who wants a form that takes longer catches up alone: it holds the others up for no longer
AT_A_TIME = 100  # followers told between two looks of the loop at everything else

log = structlog.get_logger()


class Feed(Generic[Row]):
    """One topic: a reader that fetches each new row once, and the followers that it tells the batches to."""

    def __init__(self, place: Place[Row]) -> None:
        self._place = place
        self._followers: dict[Hashable, set[Follower[Row]]] = {}  # by their listeners' key
        self._at: int | None = None
        self._pages: dict[int, asyncio.Task[_Page[Row]]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_rung = False

    @property
    def topic(self) -> str:
        return self._place.topic

    # ---- following

    async def serve(self, listener: Listener[Row], *, after: int) -> None:
        """Tell a listener all rows after a position, then every new one, until the feed is over."""
        follower = Follower(listener, after=after)
        while True:
            await listener.ready()
            page = await self._missed(follower)
            if page is not None:
                form = listener.form(page.batch) if page.batch is not None else None
                if isinstance(form, asyncio.Future):
                    form = await asyncio.shield(form)  # one who goes away takes nothing from the others
                if page.batch is None or listener.tell(form):
                    self._advance(follower, page)
            elif follower.is_over:
                return
            else:
                await self._attached(follower)

    async def follow(self, *, after: int) -> AsyncGenerator[Batch[Row]]:
        """The same for one who pulls."""
        backlog = Backlog[Row]()
        follower = Follower(backlog, after=after)
        while True:
            page = await self._missed(follower)
            if page is not None:
                if page.batch is not None:
                    yield page.batch
                self._advance(follower, page)
            elif follower.is_over:
                return
            else:
                left = self._attach(follower)
                try:
                    async with aclosing(backlog.until(left)) as batches:
                        async for batch in batches:
                            yield batch
                finally:
                    self._detach(follower)

    async def _missed(self, follower: Follower[Row]) -> "_Page[Row] | None":
        """What comes next after its cursor; None once it has seen all to where the reader stands, or all there is."""
        if follower.is_over:
            return None
        if follower.is_near:
            if self._at is None or self._at <= follower.cursor or self._at == follower.stood:
                return None
            self._pages.pop(follower.cursor, None)  # the reader has found more meanwhile
        follower.stood = self._at
        return await self._page(follower.cursor)

    def _advance(self, follower: Follower[Row], page: "_Page[Row]") -> None:
        if page.batch is not None:
            follower.cursor = page.batch.cursor
        follower.is_near = not page.is_full
        follower.is_over = page.is_over

    async def _attached(self, follower: Follower[Row]) -> None:
        left = self._attach(follower)
        try:
            await left
        finally:
            self._detach(follower)

    def _attach(self, follower: Follower[Row]) -> "asyncio.Future[None]":
        # A reader that stands beyond the last row was led there by a follower whose cursor is no row's.
        if self._at is None or self._at > follower.cursor or not self._followers:
            self._at = follower.cursor
        follower.left = asyncio.get_running_loop().create_future()
        self._followers.setdefault(follower.listener.key, set()).add(follower)
        self.ring()  # a row that came between the look and the attachment is read now
        return follower.left

    def _detach(self, follower: Follower[Row]) -> None:
        key = follower.listener.key
        group = self._followers.get(key)
        if group is not None:
            group.discard(follower)
            if not group:
                del self._followers[key]
        follower.left, follower.is_near = None, False
        self._pages.pop(follower.cursor, None)  # it led here; the next look is a new one

    # ---- pages

    async def _page(self, after: int) -> "_Page[Row]":
        """What comes after a position; those who ask at the same moment share the look, and what is made of it."""
        asked = self._pages.get(after)
        if asked is None:
            asked = self._pages[after] = asyncio.create_task(self._look(after), name=f"page of {self._place.topic}")
            asked.add_done_callback(_heard)
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget, after, asked)
        return await asyncio.shield(asked)  # one who goes away takes nothing from the others

    def _forget(self, after: int, asked: "asyncio.Task[_Page[Row]]") -> None:
        if self._pages.get(after) is asked:
            del self._pages[after]

    async def _look(self, after: int) -> "_Page[Row]":
        over = self._place.over is not None and await self._place.over()
        rows = await self._place.fetch(after, PAGE)
        batch = self._batch(rows, after) if rows else None
        is_full = len(rows) >= PAGE
        is_last = batch is not None and batch.is_last
        return _Page(batch=batch, is_full=is_full, is_over=is_last or (over and not is_full))

    def _batch(self, rows: Any, after: int) -> Batch[Row]:
        position, last = self._place.position, self._place.last
        return Batch(
            rows,
            after=after,
            first=position(rows[0]),
            cursor=position(rows[-1]),
            is_last=last is not None and any(last(row) for row in rows),
        )

    # ---- the reader

    def ring(self) -> None:
        """There may be news: read, or read once more. What comes while one batch is told is told in the next."""
        self._is_rung = True
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name=f"feed {self._place.key}")

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read_all(self) -> None:
        try:
            while self._is_rung and self._followers:
                self._is_rung = False
                try:
                    await self._read()
                except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("feed.read_failed", topic=self._place.topic, reason=str(error))
                    await asyncio.sleep(RETRY_DELAY)
                    self._is_rung = True
        finally:
            self._reading = None

    async def _read(self) -> None:
        while self._at is not None:
            over = self._place.over is not None and await self._place.over()
            after = self._at
            rows = await (self._place.news or self._place.fetch)(after, PAGE)
            if rows:
                batch = self._batch(rows, after)
                self._at = batch.cursor
                await self._tell(batch)
                over = over or batch.is_last
            if len(rows) < PAGE:
                if over:
                    self._finish(self._at)
                return

    async def _tell(self, batch: Batch[Row]) -> None:
        forms = {key: next(iter(group)).listener.form(batch) for key, group in self._followers.items()}
        late = {key: form for key, form in forms.items() if isinstance(form, asyncio.Future)}
        for key, form in forms.items():
            if key not in late:
                await self._tell_group(key, batch, form)
        if late:
            await asyncio.wait(late.values(), timeout=FORM_SECONDS)
        for key, form in late.items():
            await self._tell_group(key, batch, form.result() if form.done() else None)

    async def _tell_group(self, key: Hashable, batch: Batch[Row], form: Any) -> None:
        for number, follower in enumerate(tuple(self._followers.get(key, ())), start=1):
            if follower.left is not None and (form is None or not follower.tell(batch, form)):
                follower.leave()
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)

    def _finish(self, at: int) -> None:
        for group in self._followers.values():
            for follower in group:
                follower.finish(at)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page(Generic[Row]):
    """Rows found at one look; whether more may follow at once, and whether none will ever."""

    batch: Batch[Row] | None
    is_full: bool
    is_over: bool


def _heard(task: "asyncio.Task[Any]") -> None:
    """Its failure counts as heard, should all who asked have gone away before."""
    if not task.cancelled():
        task.exception()


class Feeds:
    """The feeds of this process; each is there while somebody uses it."""

    def __init__(self, *, bell: Bell) -> None:
        self._bell = bell
        self._feeds: dict[str, _Used] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def join(self, place: Place[Row]) -> Feed[Row]:
        """The feed of this place, read at each ring of its topic from now on; whoever joins leaves again."""
        used = self._feeds.get(place.key)
        if used is None:
            feed = Feed(place)
            opening = asyncio.create_task(self._bell.listen(place.topic, feed.ring), name=f"opening {place.key}")
            used = self._feeds[place.key] = _Used(feed=feed, opening=opening)
        used.users += 1
        try:
            await asyncio.shield(used.opening)
        except BaseException:
            self.leave(place.key)
            raise
        return used.feed

    def leave(self, key: str) -> None:
        used = self._feeds[key]
        used.users -= 1
        if used.users:
            return
        del self._feeds[key]
        used.opening.cancel()
        used.feed.close()
        closing = asyncio.create_task(self._bell.unlisten(used.feed.topic, used.feed.ring), name=f"closing {key}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


@dataclass(kw_only=True, slots=True)
class _Used:
    feed: Feed[Any]
    opening: asyncio.Task[None]
    users: int = 0


class Following(Generic[Row]):
    """Batches on their way to one follower: pulled as an async iterator, or pushed to a listener."""

    def __init__(self, *, feeds: Feeds, find: Callable[[], Awaitable[Place[Row] | None]]) -> None:
        self._feeds = feeds
        self._find = find
        self._pulled: AsyncGenerator[Batch[Row]] | None = None

    async def serve(self, listener: Listener[Row]) -> None:
        """Tell a listener everything until the feed is over. Raises: what finding the feed raises."""
        place = await self._find()
        if place is None:
            return
        key, after = place.key, place.after
        feed = await self._feeds.join(place)
        del place  # a subscription lives for hours: it keeps nothing that it does not need
        try:
            await feed.serve(listener, after=after)
        finally:
            self._feeds.leave(key)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch[Row]:
        if self._pulled is None:
            self._pulled = self._pull()
        return await anext(self._pulled)

    async def aclose(self) -> None:
        if self._pulled is not None:
            await self._pulled.aclose()

    async def _pull(self) -> AsyncGenerator[Batch[Row]]:
        place = await self._find()
        if place is None:
            return
        feed = await self._feeds.join(place)
        try:
            async with aclosing(feed.follow(after=place.after)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._feeds.leave(place.key)
