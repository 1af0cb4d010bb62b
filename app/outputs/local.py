"""An output store in a folder of this machine."""

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from time import time
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from app.domain.csv_format import RecordCounter, check_delimiter, encode_rows
from app.domain.errors import InvalidError, NotFoundError
from app.domain.outputs import OutputColumn, OutputFormat, StoredOutput
from app.outputs.base import PreviewTable
from app.outputs.locations import attempt_location, check_location
from app.outputs.preview import preview_file

MOVE_TRIES = 5
_READ_BYTES = 256 * 1024
_HELD_BYTES = 256 * 1024
_ROWS_AT_ONCE = 5_000  # bounds the text that is held beside the rows themselves


class LocalOutputStore:
    """Outputs below `root`; what is being written lies in `root/.partial`, in the same file system."""

    def __init__(self, *, root: Path) -> None:
        self._root = root.resolve()
        self._partial = self._root / ".partial"

    @asynccontextmanager
    async def sink(
        self,
        *,
        started_at: datetime,
        playground_id: UUID,
        run_id: UUID,
        task_run_id: UUID,
        attempt: int,
        delimiter: str = ",",
    ) -> AsyncIterator["LocalSink"]:
        check_delimiter(delimiter)
        folder = attempt_location(
            started_at=started_at,
            playground_id=playground_id,
            run_id=run_id,
            task_run_id=task_run_id,
            attempt=attempt,
        )
        location = f"{folder}/output.csv"
        target = self._path(location)
        sink = LocalSink(location=location, partial=self._partial / uuid4().hex, delimiter=delimiter)
        try:
            yield sink
            await asyncio.to_thread(sink.store, target)
        finally:
            sink.discard()  # not awaited, so that a cancelled task clears up as well

    @asynccontextmanager
    async def open_writer(self, location: str) -> AsyncIterator["LocalWriter"]:
        async with self.stage(location) as partial:
            with await asyncio.to_thread(partial.open, "wb") as file:
                yield LocalWriter(location=location, file=file)

    @asynccontextmanager
    async def stage(self, location: str) -> AsyncIterator[Path]:
        target = self._path(location)
        partial = self._partial / uuid4().hex
        try:
            await asyncio.to_thread(self._partial.mkdir, parents=True, exist_ok=True)
            yield partial
            await asyncio.to_thread(_take_in, partial, target)
        finally:
            partial.unlink(missing_ok=True)  # not awaited, so that a cancelled task clears up as well

    async def size(self, location: str) -> int:
        return (await asyncio.to_thread(self._existing, location)).stat().st_size

    async def open(self, location: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if offset < 0 or (length is not None and length < 0):
            raise InvalidError("A range of an output starts at 0 or later and is not shorter than 0 bytes.")
        path = await asyncio.to_thread(self._existing, location)
        remaining = length
        with await asyncio.to_thread(path.open, "rb") as file:
            file.seek(offset)
            while remaining is None or remaining > 0:
                wanted = _READ_BYTES if remaining is None else min(_READ_BYTES, remaining)
                piece = await asyncio.to_thread(file.read, wanted)
                if not piece:
                    return
                remaining = None if remaining is None else remaining - len(piece)
                yield piece

    def local_path(self, location: str) -> Path | None:
        return self._existing(location)

    def uri(self, location: str) -> str | None:  # noqa: ARG002 - a cluster reads none of this machine's files
        return None

    async def preview(self, location: str, *, format: OutputFormat, delimiter: str, limit: int) -> PreviewTable:
        if limit < 1:
            raise InvalidError("A preview shows one row at least.", path=("limit",))
        path = await asyncio.to_thread(self._existing, location)
        return await asyncio.to_thread(preview_file, path, format=format, delimiter=delimiter, limit=limit)

    async def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        await asyncio.to_thread(_remove, path, self._root)

    async def discard_partial(self, *, older_than: timedelta) -> int:
        """Remove what killed processes left unfinished; gives how many files that were."""
        return await asyncio.to_thread(_remove_older, self._partial, time() - older_than.total_seconds())

    def _path(self, location: str) -> Path:
        path = self._root / check_location(location)
        # A link inside the store must not lead out of it; the names themselves cannot any more.
        if not path.resolve().is_relative_to(self._root):
            raise InvalidError(f"{location!r} leads out of the output store.", path=("location",))
        return path

    def _existing(self, location: str) -> Path:
        path = self._path(location)
        if not path.is_file():
            raise NotFoundError(
                f"There is no output at {location!r}; it was deleted, or pruned by the rules of retention.",
                path=("location",),
            )
        return path


class LocalSink:
    """Gathers one attempt's output: the first of its bytes are held, more than a few lie in a partial file."""

    def __init__(self, *, location: str, partial: Path, delimiter: str) -> None:
        self.delimiter = delimiter
        self._location = location
        self._partial = partial
        self._held = bytearray()
        self._file: BinaryIO | None = None
        self._files = Lock()  # a thread may still be writing for a task that was cancelled
        self._discarded = False
        self._complete: tuple[tuple[OutputColumn, ...], int] | None = None
        self._stored: StoredOutput | None = None

    async def write_rows(
        self, columns: Sequence[OutputColumn], batches: AsyncIterator[Sequence[Sequence[Any]]]
    ) -> None:
        row_count = 0
        if columns:
            self._held += encode_rows([[column.name for column in columns]], self.delimiter)
        async for batch in batches:
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                await asyncio.to_thread(self._write, batch[start : start + _ROWS_AT_ONCE])
            row_count += len(batch)
        self._complete = (tuple(columns), row_count)

    async def write_csv(self, text: bytes, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        self._held += text
        self._complete = (tuple(columns), row_count)

    async def write_records(self, columns: Sequence[OutputColumn], pieces: AsyncIterator[bytes]) -> None:
        self._held += encode_rows([[column.name for column in columns]], self.delimiter)
        counter = RecordCounter()
        async for piece in pieces:
            counter.feed(piece)
            self._held += piece
            if len(self._held) > _HELD_BYTES:
                await asyncio.to_thread(self._spill)
        self._complete = (tuple(columns), counter.count)

    async def adopt_csv(self, path: Path, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        await asyncio.to_thread(_adopt, path, self._partial)
        self._complete = (tuple(columns), row_count)

    @property
    def stored(self) -> StoredOutput:
        if self._stored is None:
            raise RuntimeError("an output is stored only once its sink has been left without an error")
        return self._stored

    def store(self, target: Path) -> None:
        """Let the output appear at its place, and say so in `stored`; for a thread."""
        if self._complete is None:
            raise RuntimeError("the engine brought no output into its sink")
        columns, row_count = self._complete
        with self._spill() as file:
            _sync(file)
            size_bytes = file.tell()
        _move_into_place(self._partial, target)
        self._stored = StoredOutput(
            location=self._location,
            format=OutputFormat.CSV,
            delimiter=self.delimiter,
            size_bytes=size_bytes,
            row_count=row_count,
            columns=columns,
        )

    def discard(self) -> None:
        """Leave nothing behind but what was stored."""
        with self._files:
            self._discarded = True
            if self._file is not None:
                with suppress(OSError):  # of what could not be written, to a full disk perhaps
                    self._file.close()
            self._partial.unlink(missing_ok=True)

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        self._held += encode_rows(rows, self.delimiter)
        if len(self._held) > _HELD_BYTES:
            self._spill()

    def _spill(self) -> BinaryIO:
        """Write what is held to the partial file, which is made for it unless it was adopted."""
        with self._files:
            if self._discarded:
                raise RuntimeError("the sink has been left")
            if self._file is None:
                self._file = _open_at_end(self._partial)
            self._file.write(self._held)
            self._held.clear()
            return self._file


class LocalWriter:
    """Writes one artefact to its partial file."""

    def __init__(self, *, location: str, file: BinaryIO) -> None:
        self.location = location
        self.size_bytes = 0
        self._file = file

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._file.write, data)
        self.size_bytes += len(data)


def _take_in(partial: Path, target: Path) -> None:
    with partial.open("rb") as file:
        _sync(file)
    _move_into_place(partial, target)


def _open_at_end(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")


def _sync(file: BinaryIO) -> None:
    """Bring the bytes to the disk: without it a crash could leave the name without them."""
    file.flush()
    os.fsync(file.fileno())


def _move_into_place(partial: Path, target: Path) -> None:
    for attempt in range(1, MOVE_TRIES + 1):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.replace(target)
        except FileNotFoundError:  # a deletion has just taken the folder for one that stays empty
            if attempt == MOVE_TRIES or not partial.exists():
                raise
        else:
            return


def _adopt(source: Path, partial: Path) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(partial)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, partial)
        source.unlink()


def _remove(path: Path, root: Path) -> None:
    """Remove what lies there, and the folders above it that are left empty."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with suppress(OSError):  # one that is not empty
        for folder in path.parents:
            if folder == root:
                return
            folder.rmdir()


def _remove_older(folder: Path, before: float) -> int:
    count = 0
    for path in folder.glob("*"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
            count += 1
    return count
