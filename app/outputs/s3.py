"""An output store in a bucket of S3, or of another store that speaks its protocol."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from app.aws.bucket import Bucket, is_beyond_end, is_missing
from app.aws.clients import AwsClients
from app.aws.errors import AwsError, TerminalAwsError
from app.aws.upload import Upload
from app.domain.errors import NotFoundError
from app.domain.outputs import OutputFormat
from app.domain.reconciliation.samples import TableSample
from app.outputs.base import Copying, FileFacts, PreviewTable, StorageError
from app.outputs.bringing import in_thread
from app.outputs.locations import attempt_location, check_limit, check_location, check_range
from app.outputs.parquet import copy_start
from app.outputs.plain_csv import plain_csv
from app.outputs.preview import preview_csv, preview_parquet
from app.outputs.ranged_file import RangedFile
from app.outputs.s3_parts import S3Part
from app.outputs.sampling import PARQUET_ROWS, sample_csv, sample_parquet
from app.outputs.scratch import Spool, nameless_file, refuse_without_room
from app.outputs.sink import ParquetSink, Sink


class S3OutputStore:
    """Outputs below `prefix`; what passes through a file of this machine on its way lies in `scratch`, nameless.

    `preview_rows` bounds what a preview reads; `links` lets browsers fetch files from the bucket itself.
    """

    def __init__(
        self,
        *,
        clients: AwsClients,
        bucket: Bucket,
        prefix: str,
        scratch: Path,
        preview_rows: int = 1_000,
        links: bool = False,
    ) -> None:
        self._clients = clients
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._scratch = scratch
        self._preview_rows = preview_rows
        self._links = links

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
        with self._wrapped(folder):
            async with self._new_sink(folder, delimiter, format).filling() as sink:
                yield sink

    @asynccontextmanager
    async def open_writer(self, location: str) -> AsyncIterator["S3Writer"]:
        async with self._upload(location) as upload:
            yield S3Writer(location=location, upload=upload)

    @asynccontextmanager
    async def stage(self, location: str) -> AsyncIterator[Path]:
        check_location(location)
        with nameless_file(self._scratch) as path:
            yield path
            async with self._upload(location) as upload:
                await upload.take(path)

    async def facts(self, location: str) -> FileFacts:
        with self._wrapped(location):
            found = await self._bucket.facts(self._key(location))
        return FileFacts(size_bytes=found.size_bytes, version=found.etag.strip('"'))

    async def size(self, location: str) -> int:
        return (await self.facts(location)).size_bytes

    async def open(self, location: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        check_range(offset, length)
        if length == 0:
            await self.facts(location)
            return
        pieces = self._bucket.pieces(self._key(location), offset=offset, length=length)
        with self._wrapped(location):
            async for piece in pieces:
                yield piece

    def local_path(self, location: str) -> Path | None:
        check_location(location)
        return None

    @asynccontextmanager
    async def file(self, location: str) -> AsyncIterator[Path]:
        size_bytes = await self.size(location)
        with nameless_file(self._scratch) as path:
            await asyncio.to_thread(refuse_without_room, self._scratch, size_bytes)
            with await asyncio.to_thread(path.open, "wb") as file:
                async for piece in self.open(location):
                    await asyncio.to_thread(file.write, piece)
            yield path

    @asynccontextmanager
    async def csv_file(
        self,
        location: str,
        *,
        format: OutputFormat,  # noqa: ARG002 - as every store has it; the first bytes tell it
        delimiter: str,
        copying: Copying,
    ) -> AsyncIterator[Path]:
        with self._wrapped(location):
            part = S3Part(bucket=self._bucket, facts=await self._bucket.facts(self._key(location)))
        opener = partial(plain_csv, [part], name=location, delimiter=delimiter, scratch=self._scratch)
        async with in_thread(opener, copying) as file:
            yield file.path

    def uri(self, location: str) -> str | None:
        return self._bucket.uri(self._key(location))

    async def link(self, location: str, *, filename: str, media_type: str, lifetime: timedelta) -> str | None:
        if not self._links:
            return None
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        with self._wrapped(location):
            return await self._bucket.link(
                self._key(location), lifetime=lifetime, disposition=disposition, media_type=media_type
            )

    async def preview(self, location: str, *, format: OutputFormat, delimiter: str, limit: int) -> PreviewTable:
        check_limit(limit)
        limit = min(limit, self._preview_rows)
        key = self._key(location)
        with self._wrapped(location):
            if format is OutputFormat.CSV:
                return await self._clients.run(self._preview_csv, key, delimiter=delimiter, limit=limit)
            size_bytes = await self.size(location)
            return await self._clients.run(self._preview_parquet, key, size_bytes=size_bytes, limit=limit)

    async def sample(self, location: str, *, format: OutputFormat, delimiter: str) -> TableSample:
        key = self._key(location)
        with self._wrapped(location):
            size_bytes = await self.size(location)
            if format is OutputFormat.CSV:
                return await self._clients.run(
                    sample_csv, partial(self._read, key), size_bytes=size_bytes, delimiter=delimiter
                )
            return await self._clients.run(self._sample_parquet, key, size_bytes=size_bytes)

    async def delete(self, prefix: str) -> None:
        with self._wrapped(prefix):
            await self._bucket.delete(self._key(prefix))

    async def discard_partial(self, *, older_than: timedelta) -> int:
        """End the uploads that killed processes left behind; gives how many those were."""
        with self._wrapped(""):
            return await self._bucket.abort_uploads(self._prefix, before=datetime.now(UTC) - older_than)

    async def problem(self) -> str | None:
        try:
            await self._bucket.check()
        except AwsError as error:
            return f"The output store {self._bucket.uri(self._prefix)} cannot be used: {error.message}"
        return None

    async def close(self) -> None:
        await self._clients.close()

    def _new_sink(self, folder: str, delimiter: str, format: OutputFormat) -> Sink:
        if format is OutputFormat.PARQUET:
            return ParquetSink(folder=folder, spool=Spool(self._scratch), stage=self.stage, delimiter=delimiter)
        location = f"{folder}/output.csv"
        return Sink(location=location, target=self._bucket.upload(self._key(location)), delimiter=delimiter)

    @asynccontextmanager
    async def _upload(self, location: str) -> AsyncIterator[Upload]:
        upload = self._bucket.upload(self._key(location))
        with self._wrapped(location):
            try:
                yield upload
                await upload.finish()
            finally:
                await upload.discard()

    def _preview_csv(self, key: str, *, delimiter: str, limit: int) -> PreviewTable:
        raw = RangedFile(lambda start, end: self._read(key, start, end))
        with io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8", errors="replace", newline="") as file:
            return preview_csv(file, delimiter=delimiter, limit=limit)

    def _preview_parquet(self, key: str, *, size_bytes: int, limit: int) -> PreviewTable:
        with nameless_file(self._scratch) as path:
            copy_start(lambda start, end: self._read(key, start, end), size_bytes, path, rows=limit + 1)
            return preview_parquet(path, limit=limit)

    def _sample_parquet(self, key: str, *, size_bytes: int) -> TableSample:
        """Of the start alone: other groups of rows may be as large."""
        with nameless_file(self._scratch) as path:
            copy_start(lambda start, end: self._read(key, start, end), size_bytes, path, rows=PARQUET_ROWS)
            return sample_parquet(path, places=1)

    def _read(self, key: str, start: int, end: int) -> bytes:
        try:
            return self._bucket.read(key, start, end).data
        except TerminalAwsError as error:
            if is_beyond_end(error):
                return b""
            raise

    def _key(self, location: str) -> str:
        return self._prefix + check_location(location)

    @contextmanager
    def _wrapped(self, location: str) -> Iterator[None]:
        """Raises: NotFoundError, StorageError."""
        try:
            yield
        except TerminalAwsError as error:
            if is_missing(error):
                raise NotFoundError(
                    f"There is no output at {location!r}; it was deleted, or pruned by the rules of retention.",
                    path=("location",),
                ) from error
            raise StorageError(f"The output store refused it. {error.message}", retriable=False) from error
        except AwsError as error:
            raise StorageError(f"The output store is away. {error.message}", retriable=error.retriable) from error


class S3Writer:
    """Writes one artefact to its upload."""

    def __init__(self, *, location: str, upload: Upload) -> None:
        self.location = location
        self._upload = upload

    @property
    def size_bytes(self) -> int:
        return self._upload.size_bytes

    async def write(self, data: bytes) -> None:
        await self._upload.write(data)
