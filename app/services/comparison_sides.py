"""The two files that a comparison reads: the outputs themselves, or copies for as long as it takes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

from app.domain.errors import NotFoundError
from app.domain.outputs import OutputFormat
from app.models import TaskRun
from app.outputs.base import OutputStore
from app.services.comparison_request import SideFile
from app.services.runs import refuse_pruned

TELL_INTERVAL = 1.0  # seconds between two words about a copy


class ComparisonStoppedError(Exception):
    """Nobody wants the comparison any more."""


class ComparisonSides:
    """`tell` passes a sentence on to who watches the comparison."""

    def __init__(self, *, outputs: OutputStore, stop: asyncio.Event, tell: Callable[[str], Awaitable[None]]) -> None:
        self._outputs = outputs
        self._stop = stop
        self._tell = tell
        self._told_at = 0.0

    @asynccontextmanager
    async def file(self, side: str, row: TaskRun) -> AsyncIterator[SideFile]:
        """A CSV file of this machine; a copy is gone with the context, or with this process.

        Raises: NotFoundError, PrunedError, StorageError; ComparisonStoppedError.
        """
        refuse_pruned(row)
        if row.output_location is None:
            raise NotFoundError(f"The {side} side has no output.")

        async def copying(share: float) -> None:
            await self._copying(side, share)

        delimiter = row.output_delimiter or ","
        format_ = row.output_format or OutputFormat.CSV
        async with self._outputs.csv_file(
            row.output_location, format=format_, delimiter=delimiter, copying=copying
        ) as path:
            yield SideFile(name=f"The {side} side («{row.name}»)", path=str(path), delimiter=delimiter)

    async def _copying(self, side: str, share: float) -> None:
        if self._stop.is_set():
            raise ComparisonStoppedError
        now = monotonic()
        if now - self._told_at >= TELL_INTERVAL:
            self._told_at = now
            await self._tell(f"The {side} output is copied to the machine that compares: {share:.0%}.")
