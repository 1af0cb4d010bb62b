"""The sink of one attempt: encodes and counts what an engine brings, holds the first of it and passes the rest on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from app.domain.csv_format import RecordCounter, check_delimiter, encode_rows
from app.domain.outputs import OutputColumn, OutputFormat, StoredOutput
from app.outputs.base import StorageError
from app.outputs.parquet import write_parquet
from app.outputs.scratch import Spool

_HELD_BYTES = 256 * 1024
_ROWS_AT_ONCE = 5_000  # bounds the text that is held beside the rows themselves


class Target(Protocol):
    """Where the bytes of one file go; nobody sees it before `finish` has returned."""

    async def write(self, data: bytes | bytearray) -> None: ...

    async def adopt(self, path: Path) -> None:
        """Take over a finished file."""

    async def finish(self, rest: bytes | bytearray) -> int:
        """Write the last bytes and let the file appear; gives its size."""

    async def discard(self) -> None:
        """Leave nothing behind but what has appeared."""


class Sink:
    """Gathers one attempt's output as CSV."""

    def __init__(self, *, location: str, target: Target, delimiter: str) -> None:
        check_delimiter(delimiter)
        self.delimiter = delimiter
        self._location = location
        self._target = target
        self._held = bytearray()
        self._complete: tuple[tuple[OutputColumn, ...], int] | None = None
        self._stored: StoredOutput | None = None

    @asynccontextmanager
    async def filling(self) -> AsyncIterator["Sink"]:
        """The output appears when the context is left without an error."""
        try:
            yield self
            if self._complete is None:
                raise RuntimeError("the engine brought no output into its sink")
            columns, row_count = self._complete
            self._stored = await self._store(columns, row_count)
        finally:
            await self._target.discard()

    async def write_rows(
        self, columns: Sequence[OutputColumn], batches: AsyncIterator[Sequence[Sequence[Any]]]
    ) -> None:
        row_count = 0
        if columns:
            self._held += self._header(columns)
        async for batch in batches:
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                rows = batch[start : start + _ROWS_AT_ONCE]
                self._held += await asyncio.to_thread(encode_rows, rows, self.delimiter)
                await self._pass_on()
            row_count += len(batch)
        self._complete = (tuple(columns), row_count)

    async def write_csv(self, text: bytes, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        self._held += text
        self._complete = (tuple(columns), row_count)

    async def write_records(self, columns: Sequence[OutputColumn], pieces: AsyncIterator[bytes]) -> None:
        self._held += self._header(columns)
        counter = RecordCounter()
        async for piece in pieces:
            counter.feed(piece)
            self._held += piece
            await self._pass_on()
        self._complete = (tuple(columns), counter.count)

    async def adopt_csv(self, path: Path, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        await self._target.adopt(path)
        self._complete = (tuple(columns), row_count)

    @property
    def stored(self) -> StoredOutput:
        if self._stored is None:
            raise RuntimeError("an output is stored only once its sink has been left without an error")
        return self._stored

    async def _store(self, columns: tuple[OutputColumn, ...], row_count: int) -> StoredOutput:
        size_bytes = await self._target.finish(self._held)
        return self._facts(self._location, OutputFormat.CSV, columns, row_count=row_count, size_bytes=size_bytes)

    def _facts(
        self,
        location: str,
        format: OutputFormat,
        columns: tuple[OutputColumn, ...],
        *,
        row_count: int,
        size_bytes: int,
    ) -> StoredOutput:
        return StoredOutput(
            location=location,
            format=format,
            delimiter=self.delimiter,
            size_bytes=size_bytes,
            row_count=row_count,
            columns=columns,
        )

    def _header(self, columns: Sequence[OutputColumn]) -> bytes:
        return encode_rows([[column.name for column in columns]], self.delimiter)

    async def _pass_on(self) -> None:
        if len(self._held) > _HELD_BYTES:
            data, self._held = self._held, bytearray()
            await self._target.write(data)


class ParquetSink(Sink):
    """Keeps the CSV aside and makes a Parquet file of it at the end.

    A table without columns cannot be Parquet: it is stored as the empty CSV that it is.
    """

    def __init__(
        self,
        *,
        folder: str,
        spool: Spool,
        stage: Callable[[str], AbstractAsyncContextManager[Path]],
        delimiter: str,
    ) -> None:
        super().__init__(location=f"{folder}/output.csv", target=spool, delimiter=delimiter)
        self._parquet_location = f"{folder}/output.parquet"
        self._spool = spool
        self._stage = stage

    async def _store(self, columns: tuple[OutputColumn, ...], row_count: int) -> StoredOutput:
        await self._spool.finish(self._held)
        if not columns:
            async with self._stage(self._location) as path:
                await asyncio.to_thread(path.touch)
            return self._facts(self._location, OutputFormat.CSV, (), row_count=row_count, size_bytes=0)
        async with self._stage(self._parquet_location) as path:
            written = await self._convert(path, columns)
            if written != row_count:
                raise StorageError(
                    f"Of {row_count} rows {written} became Parquet: the engine's CSV is not well formed.",
                    retriable=False,
                )
            size_bytes = path.stat().st_size
        return self._facts(
            self._parquet_location, OutputFormat.PARQUET, columns, row_count=row_count, size_bytes=size_bytes
        )

    async def _convert(self, path: Path, columns: tuple[OutputColumn, ...]) -> int:
        """The number of rows; who is cancelled waits until the conversion has heard of it.

        Both files go then, and the next that are opened take over their descriptors: their paths lead to these.
        """
        left = Event()

        def look_up() -> None:
            if left.is_set():
                raise RuntimeError("the sink has been left")

        work = partial(write_parquet, columns=columns, delimiter=self.delimiter, look_up=look_up)
        converting = asyncio.ensure_future(asyncio.to_thread(work, self._spool.path, path))
        try:
            return await asyncio.shield(converting)
        except asyncio.CancelledError:
            left.set()
            await asyncio.gather(converting, return_exceptions=True)
            raise
