"""Group commit: what comes while a transaction is on its way goes into the next one, all together.

Many tasks of one playground end at once, and each end takes the playground's lock: one transaction for all of them
costs little more than one for each, and nothing ever waits for company.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import structlog

from app.store.database import DatabaseAwayError

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAX_GROUP = 100

log = structlog.get_logger()


class GroupCommit(Generic[Key, Item, Outcome]):
    """`commit` gets a key and the items that wait for it, and gives an outcome for each, in order.

    A group that fails is committed again item by item, so that one bad item fails alone.
    """

    def __init__(self, commit: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Outcome]]]) -> None:
        self._commit = commit
        self._waiting: dict[Key, list[tuple[Item, asyncio.Future[Outcome]]]] = {}
        self._flushing: dict[Key, asyncio.Task[None]] = {}

    async def submit(self, key: Key, item: Item) -> Outcome:
        """The item's outcome, once it is committed. A caller that goes away takes nothing back."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((item, future))
        if key not in self._flushing:
            self._flushing[key] = asyncio.create_task(self._flush(key), name=f"group commit {key}")
        return await future

    def is_busy(self, key: Key) -> bool:
        """Whether a commit of this key is on its way."""
        return key in self._flushing

    async def settle(self) -> None:
        """Wait until all that was submitted is committed."""
        while self._flushing:
            await asyncio.gather(*self._flushing.values(), return_exceptions=True)

    async def _flush(self, key: Key) -> None:
        try:
            while waiting := self._waiting.get(key):
                group, self._waiting[key] = waiting[:MAX_GROUP], waiting[MAX_GROUP:]
                await self._commit_group(key, group)
        finally:
            self._waiting.pop(key, None)
            del self._flushing[key]

    async def _commit_group(self, key: Key, group: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._commit(key, [item for item, _ in group])
        except DatabaseAwayError as error:  # it would not answer to each of them either
            for _, future in group:
                _fail(future, error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' to hear, each of its own
            if len(group) == 1:
                _fail(group[0][1], error)
                return
            log.warning("group_commit.split", key=str(key), size=len(group), reason=str(error))
            for single in group:
                await self._commit_group(key, [single])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)


def _fail(future: asyncio.Future[Outcome], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
