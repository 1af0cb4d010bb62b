"""A bucket of S3: its objects listed, read by ranges, written, deleted."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError, TransientAwsError, aws_errors
from app.aws.upload import Upload

READ_BYTES = 4 * 2**20  # of one request: one that breaks off costs no more than that
_STREAMED_BYTES = 256 * 1024
_READ_TRIES = 3
_MOST_KEYS = 1_000
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_MISSING = frozenset({"404", "NoSuchKey"})  # a HEAD has no body to name the error in
_BEYOND_END = "InvalidRange"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectFacts:
    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Some bytes of an object, whose whole size and version came with them."""

    data: bytes
    total_bytes: int
    etag: str


class Bucket:
    """Every method raises TransientAwsError or TerminalAwsError; see `is_missing` for an object that is not there.

    `keys_per_request` bounds what one listing asks for.
    """

    def __init__(self, *, clients: AwsClients, name: str, keys_per_request: int = _MOST_KEYS) -> None:
        self.name = name
        self._clients = clients
        self._keys_per_request = keys_per_request

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    async def check(self) -> None:
        """Ask whether the bucket is there and may be used."""
        await self._call("head_bucket")

    async def facts(self, key: str) -> ObjectFacts:
        return await self._clients.run(self.head, key)

    def head(self, key: str) -> ObjectFacts:
        """As `facts`, for threads."""
        found = self._clients.ask("s3", "head_object", Bucket=self.name, Key=key)
        return ObjectFacts(key=key, size_bytes=found["ContentLength"], etag=found["ETag"])

    async def pieces(
        self, key: str, *, offset: int = 0, length: int | None = None, piece_bytes: int = READ_BYTES
    ) -> AsyncIterator[bytes]:
        """The bytes of an object, of one version of it, by one request for each piece."""
        position, end, etag = offset, None if length is None else offset + length, None
        while end is None or position < end:
            until = position + piece_bytes if end is None else min(position + piece_bytes, end)
            try:
                piece = await self._clients.run(self.read, key, position, until, etag=etag)
            except TerminalAwsError as error:
                if is_beyond_end(error):
                    return
                raise
            yield piece.data
            position, etag = position + len(piece.data), piece.etag
            if position >= piece.total_bytes:
                return

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of an object by one request, for who reads them as fast as they come."""
        body = (await self._call("get_object", Key=key))["Body"]
        try:
            while piece := await self._clients.run(_read, body, _STREAMED_BYTES):
                yield piece
        finally:
            body.close()

    def read(self, key: str, start: int, end: int, *, etag: str | None = None) -> Piece:
        """The bytes from `start` up to `end`, of the version `etag` where it is given; for threads."""
        arguments = {"Bucket": self.name, "Key": key, "Range": f"bytes={start}-{end - 1}"}
        if etag is not None:
            arguments["IfMatch"] = etag
        for tried in count(1):
            found = self._clients.ask("s3", "get_object", **arguments)
            if "ContentRange" not in found:
                raise TerminalAwsError(f"The store of {self.uri(key)} answers no ranges.", code="NoRanges")
            try:
                data = _read(found["Body"])
            except TransientAwsError:  # botocore repeats requests, and not the reading of what they answer
                if tried == _READ_TRIES:
                    raise
            else:
                return Piece(data=data, total_bytes=int(found["ContentRange"].rpartition("/")[2]), etag=found["ETag"])
        raise AssertionError

    async def objects(self, prefix: str) -> AsyncIterator[ObjectFacts]:
        """All whose keys begin with the prefix, in the order of their keys."""
        token: str | None = None
        while True:
            found, token = await self._clients.run(self._page, prefix, token)
            for each in found:
                yield each
            if token is None:
                return

    def listed(self, prefix: str) -> Iterator[ObjectFacts]:
        """As `objects`, for threads."""
        token: str | None = None
        while True:
            found, token = self._page(prefix, token)
            yield from found
            if token is None:
                return

    def _page(self, prefix: str, token: str | None) -> tuple[list[ObjectFacts], str | None]:
        """Some objects, and what the next ones are asked for with."""
        arguments = {} if token is None else {"ContinuationToken": token}
        page = self._clients.ask(
            "s3", "list_objects_v2", Bucket=self.name, Prefix=prefix, MaxKeys=self._keys_per_request, **arguments
        )
        found = [
            ObjectFacts(key=each["Key"], size_bytes=each["Size"], etag=each["ETag"])
            for each in page.get("Contents", ())
        ]
        return found, page["NextContinuationToken"] if page.get("IsTruncated") else None

    async def get(self, key: str, *, last: int | None = None) -> bytes | None:
        """A small object, or its last bytes; None where there is none."""
        part = {} if last is None else {"Range": f"bytes=-{last}"}
        try:
            found = await self._call("get_object", Key=key, **part)
        except TerminalAwsError as error:
            if is_missing(error):
                return None
            if is_beyond_end(error):  # an empty object has no last bytes
                return b""
            raise
        return await self._clients.run(_read, found["Body"])

    async def put(self, key: str, data: bytes) -> None:
        """Write a small object."""
        await self._call("put_object", Key=key, Body=data)

    async def put_new(self, key: str, data: bytes) -> bool:
        """Whether there was no such object; of any number who ask at once, one is told so."""
        try:
            await self._call("put_object", Key=key, Body=data, IfNoneMatch="*")
        except TerminalAwsError as error:
            if error.code not in _TAKEN:
                raise
            return False
        return True

    def upload(self, key: str) -> Upload:
        """Write an object; it is there once the upload is finished."""
        return Upload(clients=self._clients, bucket=self.name, key=key)

    async def delete(self, key: str) -> None:
        """Remove the object, and all below it as if it were a folder; nothing there is no error."""
        await self._call("delete_object", Key=key)
        await self.delete_all(f"{key}/")

    async def delete_all(self, prefix: str) -> None:
        """Remove all whose keys begin with the prefix."""
        keys: list[str] = []
        async for found in self.objects(prefix):
            keys.append(found.key)
            if len(keys) == _MOST_KEYS:
                await self._delete(keys)
                keys = []
        await self._delete(keys)

    async def abort_uploads(self, prefix: str, *, before: datetime) -> int:
        """End the uploads that were begun before then, whose parts would be kept, and paid for, for ever."""
        stale: list[tuple[str, str]] = []
        arguments: dict[str, Any] = {"Prefix": prefix, "MaxUploads": self._keys_per_request}
        while True:
            page = await self._call("list_multipart_uploads", **arguments)
            found = page.get("Uploads", ())
            stale += [(each["Key"], each["UploadId"]) for each in found if each["Initiated"] < before]
            if not page.get("IsTruncated"):
                break
            arguments |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        for key, upload_id in stale:
            await self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        return len(stale)

    async def link(self, key: str, *, lifetime: timedelta, disposition: str, media_type: str) -> str:
        """A URL by which anybody gets the object, for a while."""
        parameters = {
            "Bucket": self.name,
            "Key": key,
            "ResponseContentDisposition": disposition,
            "ResponseContentType": media_type,
        }

        def sign() -> str:
            with aws_errors("s3", "get_object"):
                url: str = self._clients.client("s3").generate_presigned_url(
                    "get_object", Params=parameters, ExpiresIn=int(lifetime.total_seconds())
                )
                return url

        return await self._clients.run(sign)

    async def _delete(self, keys: list[str]) -> None:
        if not keys:
            return
        answer = await self._call("delete_objects", Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
        for refused in answer.get("Errors", ()):
            kind = TransientAwsError if refused.get("Code") in {"InternalError", "SlowDown"} else TerminalAwsError
            raise kind(f"{self.uri(refused['Key'])} could not be deleted: {refused['Message']}", code=refused["Code"])

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("s3", operation, Bucket=self.name, **arguments)


def _read(body: Any, size: int | None = None) -> bytes:
    with aws_errors("s3", "get_object"):
        data: bytes = body.read(size)
        return data


def is_missing(error: TerminalAwsError) -> bool:
    return error.code in _MISSING


def is_beyond_end(error: TerminalAwsError) -> bool:
    """Whether a range was asked for that begins where the object has ended, as every range of an empty one does."""
    return error.code == _BEYOND_END
