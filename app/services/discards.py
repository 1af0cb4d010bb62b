"""Deletes the files that nothing refers to any more.

A row is written by the transaction that lets go of a file, and removed once the file is gone: whoever is killed in
between, nothing is left lying, and no row of the history ever names a file that was deleted before it.
"""

from collections.abc import Callable

import structlog

from app.outputs.base import OutputStore, StorageError
from app.store.database import Database

BATCH = 100

log = structlog.get_logger()


class DiscardService:
    """`turn` is called as work goes on."""

    def __init__(self, *, database: Database, outputs: OutputStore, turn: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._outputs = outputs
        self._turn = turn

    async def clear(self) -> int:
        """Any number may: deleting what is gone is no error. What cannot be deleted is tried again the next time."""
        count, after = 0, None
        while True:
            async with self._database.read() as unit:
                rows = await unit.discards.page(after=after, limit=BATCH)
            if not rows:
                return count
            after = rows[-1].id
            gone = [row.id for row in rows if await self._delete(row.prefix)]
            if gone:
                await self._database.write(lambda unit, gone=gone: unit.discards.remove(gone))  # type: ignore[misc]
                count += len(gone)

    async def _delete(self, prefix: str) -> bool:
        self._turn()
        try:
            await self._outputs.delete(prefix)
        except (OSError, StorageError) as error:
            log.warning("discard.failed", prefix=prefix, reason=str(error))
            return False
        return True
