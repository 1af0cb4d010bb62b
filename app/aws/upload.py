"""An object of S3 that is being written: by one request where it is small, else by parts of some megabytes."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import structlog

from app.aws.clients import AwsClients
from app.aws.errors import AwsError, TerminalAwsError

PART_BYTES = 8 * 2**20
_PARTS_OF_ONE_SIZE = 1_500
_READ_BYTES = 2**20

Result = TypeVar("Result")

log = structlog.get_logger()


def part_bytes(number: int) -> int:
    """How large the part of this number is, from 1 on: S3 takes 10,000 parts, which come to more than a terabyte."""
    return PART_BYTES << ((number - 1) // _PARTS_OF_ONE_SIZE)


class Upload:
    """Holds two parts at most: one is sent while the next one is gathered. Nobody sees the object before the end."""

    def __init__(self, *, clients: AwsClients, bucket: str, key: str) -> None:
        self.size_bytes = 0
        self._clients = clients
        self._place = {"Bucket": bucket, "Key": key}
        self._gathered = bytearray()
        self._upload_id: str | None = None
        self._etags: list[str] = []
        self._under_way: asyncio.Future[Any] | None = None

    async def write(self, data: bytes | bytearray) -> None:
        """Raises: TransientAwsError, TerminalAwsError."""
        self._gathered += data
        self.size_bytes += len(data)
        while len(self._gathered) > (size := part_bytes(len(self._etags) + 1)):
            with memoryview(self._gathered) as view:
                part = bytes(view[:size])
            del self._gathered[:size]
            await self._send(part)

    async def adopt(self, path: Path) -> None:
        """Write what is in a file, and remove that."""
        await self.take(path)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def take(self, path: Path) -> None:
        """Write what is in a file."""
        with await asyncio.to_thread(path.open, "rb") as file:
            while data := await asyncio.to_thread(file.read, _READ_BYTES):
                await self.write(data)

    async def finish(self, rest: bytes | bytearray = b"") -> int:
        """Let the object appear, with these last bytes; gives its size."""
        await self.write(rest)
        last = bytes(self._gathered)
        self._gathered.clear()
        if self._upload_id is None and not self._etags:
            await self._uninterrupted(self._call("put_object", Body=last))
            return self.size_bytes
        await self._send(last)
        await self._sent()
        await self._uninterrupted(self._complete())
        return self.size_bytes

    async def discard(self) -> None:
        """Forget what was sent, unless the object has appeared; goes on to its end where it is cancelled."""
        self._gathered.clear()
        await asyncio.shield(self._abort())

    async def _send(self, part: bytes) -> None:
        await self._sent()
        if self._upload_id is None:
            await self._uninterrupted(self._begin())
        self._etags.append("")
        self._under_way = asyncio.ensure_future(self._send_part(len(self._etags), part))

    async def _send_part(self, number: int, part: bytes) -> None:
        answer = await self._call("upload_part", UploadId=self._upload_id, PartNumber=number, Body=part)
        self._etags[number - 1] = answer["ETag"]

    async def _sent(self) -> None:
        if self._under_way is not None:
            await asyncio.shield(self._under_way)

    async def _begin(self) -> None:
        self._upload_id = (await self._call("create_multipart_upload"))["UploadId"]

    async def _complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        try:
            await self._call("complete_multipart_upload", UploadId=self._upload_id, MultipartUpload={"Parts": parts})
        except TerminalAwsError as error:
            # A completion whose answer was lost is repeated, and then there is no such upload any more.
            if error.code != "NoSuchUpload" or (await self._call("head_object"))["ContentLength"] != self.size_bytes:
                raise
        self._upload_id = None

    async def _abort(self) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way})  # a part that arrives after the end would be kept
            if not self._under_way.cancelled():
                self._under_way.exception()  # whoever waited for it was told
        if self._upload_id is None:
            return
        try:
            await self._call("abort_multipart_upload", UploadId=self._upload_id)
        except AwsError as error:  # the scheduler ends what was left
            log.warning("upload.not_aborted", key=self._place["Key"], reason=error.message)

    async def _uninterrupted(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Who is cancelled waits no more; the work goes on, and is waited for before anything is undone."""
        self._under_way = asyncio.ensure_future(work)
        return await asyncio.shield(self._under_way)

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("s3", operation, **self._place, **arguments)
