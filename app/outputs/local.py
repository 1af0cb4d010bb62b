"""An output store in a folder of this machine."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import time
from uuid import UUID

from app.domain.errors import InvalidError, NotFoundError
from app.domain.outputs import OutputFormat
from app.domain.reconciliation.samples import TableSample
from app.outputs.base import Copying, FileFacts, PreviewTable
from app.outputs.bringing import in_thread
from app.outputs.locations import attempt_location, check_limit, check_location, check_range
from app.outputs.partial import PartialFile
from app.outputs.parts import LocalPart
from app.outputs.plain_csv import plain_csv
from app.outputs.preview import preview_csv, preview_parquet
from app.outputs.sampling import sample_file, sample_parquet
from app.outputs.scratch import Spool
from app.outputs.sink import ParquetSink, Sink

_READ_BYTES = 256 * 1024


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
        format: OutputFormat = OutputFormat.CSV,
    ) -> AsyncIterator[Sink]:
        folder = attempt_location(
            started_at=started_at,
            playground_id=playground_id,
            run_id=run_id,
            task_run_id=task_run_id,
            attempt=attempt,
        )
        async with self._new_sink(folder, delimiter, format).filling() as sink:
            yield sink

    def _new_sink(self, folder: str, delimiter: str, format: OutputFormat) -> Sink:
        if format is OutputFormat.PARQUET:
            return ParquetSink(folder=folder, spool=Spool(self._partial), stage=self.stage, delimiter=delimiter)
        location = f"{folder}/output.csv"
        target = PartialFile(self._partial, target=self._path(location))
        return Sink(location=location, target=target, delimiter=delimiter)

    @asynccontextmanager
    async def open_writer(self, location: str) -> AsyncIterator["LocalWriter"]:
        async with self._partial_file(location) as file:
            yield LocalWriter(location=location, file=file)

    @asynccontextmanager
    async def stage(self, location: str) -> AsyncIterator[Path]:
        async with self._partial_file(location) as file:
            await file.write(b"")
            yield file.path

    async def facts(self, location: str) -> FileFacts:
        stat = (await asyncio.to_thread(self._existing, location)).stat()
        return FileFacts(size_bytes=stat.st_size, version=f"{stat.st_mtime_ns:x}-{stat.st_size:x}")

    async def size(self, location: str) -> int:
        return (await self.facts(location)).size_bytes

    async def open(self, location: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        check_range(offset, length)
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

    @asynccontextmanager
    async def file(self, location: str) -> AsyncIterator[Path]:
        yield await asyncio.to_thread(self._existing, location)

    @asynccontextmanager
    async def csv_file(
        self, location: str, *, format: OutputFormat, delimiter: str, copying: Copying
    ) -> AsyncIterator[Path]:
        path = await asyncio.to_thread(self._existing, location)
        if format is OutputFormat.CSV:
            yield path
            return
        part = LocalPart(name=location, size_bytes=path.stat().st_size, path=path, opened=path)
        opener = partial(plain_csv, [part], name=location, delimiter=delimiter, scratch=self._partial)
        async with in_thread(opener, copying) as file:
            yield file.path

    def uri(self, location: str) -> str | None:
        check_location(location)
        return None

    async def link(self, location: str, *, filename: str, media_type: str, lifetime: timedelta) -> str | None:  # noqa: ARG002 - as every store has it
        check_location(location)
        return None

    async def preview(self, location: str, *, format: OutputFormat, delimiter: str, limit: int) -> PreviewTable:
        check_limit(limit)
        path = await asyncio.to_thread(self._existing, location)
        return await asyncio.to_thread(_preview, path, format, delimiter=delimiter, limit=limit)

    async def sample(self, location: str, *, format: OutputFormat, delimiter: str) -> TableSample:
        path = await asyncio.to_thread(self._existing, location)
        return await asyncio.to_thread(_sample, path, format, delimiter=delimiter)

    async def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        await asyncio.to_thread(_remove, path, self._root)

    async def discard_partial(self, *, older_than: timedelta) -> int:
        """Remove what killed processes left unfinished; gives how many files that were."""
        return await asyncio.to_thread(_remove_older, self._partial, time() - older_than.total_seconds())

    async def problem(self) -> str | None:
        """A folder is made by the first who writes."""
        return None

    async def close(self) -> None:
        """Nothing is kept open."""

    @asynccontextmanager
    async def _partial_file(self, location: str) -> AsyncIterator[PartialFile]:
        file = PartialFile(self._partial, target=self._path(location))
        try:
            yield file
            await file.finish(b"")
        finally:
            await file.discard()

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


class LocalWriter:
    """Writes one artefact to its partial file."""

    def __init__(self, *, location: str, file: PartialFile) -> None:
        self.location = location
        self.size_bytes = 0
        self._file = file

    async def write(self, data: bytes) -> None:
        await self._file.write(data)
        self.size_bytes += len(data)


def _preview(path: Path, format: OutputFormat, *, delimiter: str, limit: int) -> PreviewTable:
    match format:
        case OutputFormat.CSV:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                return preview_csv(file, delimiter=delimiter, limit=limit)
        case OutputFormat.PARQUET:
            return preview_parquet(path, limit=limit)


def _sample(path: Path, format: OutputFormat, *, delimiter: str) -> TableSample:
    match format:
        case OutputFormat.CSV:
            return sample_file(path, delimiter=delimiter)
        case OutputFormat.PARQUET:
            return sample_parquet(path)


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
