"""What every output store offers: writing aside and moving into place, reading by ranges, previewing, deleting.

A location is a relative path such as `2026-01-05/<playground>/<run>/<task>/1/output.csv`. Whatever is not a location
is an InvalidError; a location where nothing lies is a NotFoundError; a store that is away, or refuses what it is asked,
is a StorageError (where it is a folder, also an OSError).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from app.domain.errors import UnavailableError
from app.domain.outputs import OutputColumn, OutputFormat, StoredOutput
from app.domain.reconciliation.samples import TableSample


class StorageError(UnavailableError):
    """The store could not do what it was asked; `retriable` where it may be able to in a while."""

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """What a store tells of a file; another content has another `version`."""

    size_bytes: int
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewTable:
    """The first rows of an output as text; None is NULL; `truncated` says that there are more."""

    columns: tuple[str, ...]
    rows: list[list[str | None]]
    truncated: bool


# Hears, where a copy is made, which share of it there is, again and again; an error that it raises ends the copying.
Copying = Callable[[float], Awaitable[None]]


class StoringSink(Protocol):
    """The sink of one attempt, as engines know it (app.engines.base.OutputSink), and what became of it."""

    delimiter: str

    async def write_rows(
        self, columns: Sequence[OutputColumn], batches: AsyncIterator[Sequence[Sequence[Any]]]
    ) -> None:
        """Write rows as they come; a batch is encoded apart from the event loop, so batches of thousands serve best."""

    async def write_csv(self, text: bytes, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        """Take a finished CSV text that is small enough to be held."""

    async def write_records(self, columns: Sequence[OutputColumn], pieces: AsyncIterator[bytes]) -> None:
        """Write CSV records without their header, in pieces that may end anywhere; counts them."""

    async def adopt_csv(self, path: Path, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        """Take over a finished CSV file; it is moved, and copied only from another file system."""

    @property
    def stored(self) -> StoredOutput:
        """What lies in the store now; to be read after the context has been left without an error."""


class OutputWriter(Protocol):
    """A file of the platform's own that is being written."""

    location: str

    @property
    def size_bytes(self) -> int:
        """Of what was written so far."""

    async def write(self, data: bytes) -> None: ...


class OutputStore(Protocol):
    def sink(
        self,
        *,
        started_at: datetime,
        playground_id: UUID,
        run_id: UUID,
        task_run_id: UUID,
        attempt: int,
        delimiter: str = ",",
        format: OutputFormat = OutputFormat.CSV,
    ) -> AbstractAsyncContextManager[StoringSink]:
        """Write the output of one attempt; it appears, complete, when the context is left without an error."""

    def open_writer(self, location: str) -> AbstractAsyncContextManager[OutputWriter]:
        """Write another artefact, piece by piece; it appears, complete, when the context is left without an error."""

    def stage(self, location: str) -> AbstractAsyncContextManager[Path]:
        """A local path for a thread or process to write a whole artefact to; it appears as with `open_writer`."""

    async def facts(self, location: str) -> FileFacts: ...

    async def size(self, location: str) -> int:
        """Bytes."""

    def open(self, location: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `offset` on, `length` of them or up to the end; errors come with the first piece."""

    def local_path(self, location: str) -> Path | None:
        """The file itself; None where the store is not on this machine."""

    def file(self, location: str) -> AbstractAsyncContextManager[Path]:
        """The output as it is, as a file of this machine while the context is open; it may be a copy."""

    def csv_file(
        self, location: str, *, format: OutputFormat, delimiter: str, copying: Copying
    ) -> AbstractAsyncContextManager[Path]:
        """The output as a CSV file of this machine, while the context is open; it may be a copy."""

    def uri(self, location: str) -> str | None:
        """What a cluster reads the file by (s3://…); None where the store is a folder of this machine."""

    async def link(self, location: str, *, filename: str, media_type: str, lifetime: timedelta) -> str | None:
        """A URL by which anybody gets the file from the store itself; None where it is to go through this process."""

    async def preview(self, location: str, *, format: OutputFormat, delimiter: str, limit: int) -> PreviewTable:
        """The first `limit` rows; only the start of the file is read."""

    async def sample(self, location: str, *, format: OutputFormat, delimiter: str) -> TableSample:
        """Some rows from several places of the output; a megabyte of it is read, or a group of rows."""

    async def discard_partial(self, *, older_than: timedelta) -> int:
        """Remove what killed processes left unfinished; gives how many files that were."""

    async def delete(self, prefix: str) -> None:
        """Remove the file, or the folder with all that is in it; nothing there is no error."""

    async def problem(self) -> str | None:
        """What keeps the store from being used now, in a sentence."""

    async def close(self) -> None: ...
