"""Who follows a live feed: what a batch is, what a listener promises, and where each follower stands."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Row = TypeVar("Row")
BACKLOG = 64  # batches that may wait for one who pulls

Encoded = dict[Hashable, Any]
Fetch = Callable[[int, int], Awaitable[Sequence[Row]]]  # (after, limit) -> rows in order
Position = Callable[[Row], int]
Over = Callable[[], Awaitable[bool]]  # whether no row can come any more; asked before the rows are fetched
Last = Callable[[Row], bool]  # whether no row can come after this one


class Batch(Generic[Row]):
    """All rows after a position, up to the cursor, told together; who selects the same shares their encoded form."""

    __slots__ = ("after", "cursor", "encoded", "first", "is_last", "rows")

    def __init__(self, rows: Sequence[Row], *, after: int, first: int, cursor: int, is_last: bool) -> None:
        self.rows = rows
        self.after = after
        self.first = first
        self.cursor = cursor
        self.is_last = is_last
        self.encoded: Encoded = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place(Generic[Row]):
    """Which feed to follow, how it reads, and where to start."""

    key: str
    topic: str
    fetch: Fetch[Row]
    position: Position[Row]
    after: int
    news: Fetch[Row] | None = None  # the reader's own way, where it stands near the end; else it is `fetch` as well
    over: Over | None = None
    last: Last[Row] | None = None


class Listener(Protocol[Row]):
    """Somebody who is told batches in a form that all with the same key share."""

    @property
    def key(self) -> Hashable: ...

    def form(self, batch: Batch[Row]) -> Any:
        """What to tell of a batch, or a task that makes it; never raises."""

    def tell(self, form: Any) -> bool:
        """Take it at once, or say that there is no room; never raises."""

    async def ready(self) -> None:
        """Wait for room; raises what ends the following."""


class Follower(Generic[Row]):
    """One listener's place in a feed."""

    __slots__ = ("cursor", "is_near", "is_over", "left", "listener", "stood")

    def __init__(self, listener: Listener[Row], *, after: int) -> None:
        self.listener = listener
        self.cursor = after
        self.is_over = False
        self.is_near = False  # whether it has seen all that there was when it looked last
        self.stood: int | None = None  # where the reader stood then
        self.left: asyncio.Future[None] | None = None  # while it is attached; done when it is so no more

    def tell(self, batch: Batch[Row], form: Any) -> bool:
        """Whether it is up to date now; one who is not catches up from the database."""
        if batch.after <= self.cursor < batch.first:
            if not self.listener.tell(form):
                return False
            self.cursor = batch.cursor
            return True
        return batch.cursor <= self.cursor  # a reader that stood behind tells again what was caught up with

    def leave(self) -> None:
        if self.left is not None and not self.left.done():
            self.left.set_result(None)

    def finish(self, at: int) -> None:
        """No row will come after the position `at`."""
        self.is_over = self.cursor >= at
        self.leave()


class Backlog(Generic[Row]):
    """A listener for one who pulls: a few batches wait, and no more."""

    key = None

    def __init__(self) -> None:
        self._waiting: deque[Batch[Row]] = deque()
        self._news = asyncio.Event()

    def form(self, batch: Batch[Row]) -> Batch[Row]:
        return batch

    def tell(self, form: Batch[Row]) -> bool:
        if len(self._waiting) >= BACKLOG:
            return False
        self._waiting.append(form)
        self._news.set()
        return True

    async def ready(self) -> None:
        """Who pulls says by pulling that there is room."""

    async def until(self, left: "asyncio.Future[None]") -> AsyncGenerator[Batch[Row]]:
        """What was told, to the last before the follower was detached."""
        left.add_done_callback(lambda _: self._news.set())
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if left.done():
                return
            self._news.clear()
            await self._news.wait()
