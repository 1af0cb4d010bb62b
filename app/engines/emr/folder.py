"""The folder in the bucket where one attempt's job, its steps, and what they leave behind are kept.

It is `<prefix>/emr/<playground>/<task run>/<attempt>/`, and has

- `job.json`: what the script in the step is to do, be it statements and functions, or a PySpark script,
- `step.json`: the step as EMR takes it, but for the folder of the try,
- `record.json`: which step of which cluster it is, for who goes on after a restart,
- `cancelled`: there as soon as the attempt is to end,
- `<try>/claimed`: there as soon as somebody is about to give the cluster the step,
- `<try>/parts/`: the output, in any number of files,
- `<try>/outcome/`: its columns or the error, and log lines.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.aws.clients import AwsClients
from app.aws.errors import TerminalAwsError, aws_errors

_PIECE_BYTES = 256 * 1024
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Where an attempt stands; `deadline` is in seconds since 1970."""

    number: int = 1  # of the try
    cluster: str | None = None
    step: str | None = None
    deadline: float | None = None


class Bucket:
    """The few things that are done with objects here. Every method raises TransientAwsError and TerminalAwsError."""

    def __init__(self, *, clients: AwsClients, name: str, keys_per_request: int) -> None:
        self.name = name
        self._clients = clients
        self._keys_per_request = keys_per_request

    async def put(self, key: str, body: bytes) -> None:
        await self._clients.call("s3", "put_object", Bucket=self.name, Key=key, Body=body)

    async def put_new(self, key: str, body: bytes) -> bool:
        """Whether there was no such object; of any number who ask at once, one is told so."""
        try:
            await self._clients.call("s3", "put_object", Bucket=self.name, Key=key, Body=body, IfNoneMatch="*")
        except TerminalAwsError as error:
            if error.code not in _TAKEN:
                raise
            return False
        return True

    async def get(self, key: str, *, most: int | None = None) -> bytes | None:
        """The object, or its last `most` bytes; None where there is none."""
        part = {} if most is None else {"Range": f"bytes=-{most}"}
        try:
            answer = await self._clients.call("s3", "get_object", Bucket=self.name, Key=key, **part)
        except TerminalAwsError as error:
            if error.code in _MISSING:
                return None
            if error.code == "InvalidRange":  # an empty object has no last bytes
                return b""
            raise
        return await self._clients.run(_read, answer["Body"])

    async def pieces(self, key: str) -> AsyncIterator[bytes]:
        answer = await self._clients.call("s3", "get_object", Bucket=self.name, Key=key)
        body = answer["Body"]
        try:
            while piece := await self._clients.run(_read, body, _PIECE_BYTES):
                yield piece
        finally:
            body.close()

    async def keys(self, prefix: str) -> AsyncIterator[list[tuple[str, int]]]:
        """Keys with their sizes in bytes, page by page, in order."""
        marker: dict[str, str] = {}
        while True:
            answer = await self._clients.call(
                "s3",
                "list_objects_v2",
                Bucket=self.name,
                Prefix=prefix,
                MaxKeys=self._keys_per_request,
                **marker,
            )
            yield [(found["Key"], found["Size"]) for found in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return
            marker = {"ContinuationToken": answer["NextContinuationToken"]}

    async def delete(self, prefix: str) -> None:
        async for page in self.keys(prefix):
            if page:
                await self._clients.call(
                    "s3",
                    "delete_objects",
                    Bucket=self.name,
                    Delete={"Objects": [{"Key": key} for key, _ in page], "Quiet": True},
                )


class AttemptFolder:
    def __init__(self, *, bucket: Bucket, key: str) -> None:
        self.key = key
        self._bucket = bucket

    def uri(self, number: int) -> str:
        """The folder of a try."""
        return f"s3://{self._bucket.name}/{self.key}/{number}"

    async def begin(self, *, job: Mapping[str, Any], step: Mapping[str, Any], record: Record) -> None:
        await asyncio.gather(
            self._bucket.put(f"{self.key}/job.json", orjson.dumps(job)),
            self._bucket.put(f"{self.key}/step.json", orjson.dumps(step)),
        )
        await self.save(record)  # last: who finds it finds all

    async def save(self, record: Record) -> None:
        await self._bucket.put(f"{self.key}/record.json", orjson.dumps(asdict(record)))

    async def record(self) -> Record | None:
        text = await self._bucket.get(f"{self.key}/record.json")
        return None if text is None else Record(**orjson.loads(text))

    async def cancel(self) -> None:
        await self._bucket.put(f"{self.key}/cancelled", b"")

    async def is_cancelled(self) -> bool:
        return await self._bucket.get(f"{self.key}/cancelled") is not None

    async def claim(self, number: int) -> bool:
        """Whether the try is ours to give to a cluster; who asks again is told no."""
        return await self._bucket.put_new(f"{self.key}/{number}/claimed", b"")

    async def step(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(await self._bucket.get(f"{self.key}/step.json") or b"{}")
        return found

    async def outcome(self, number: int) -> dict[str, Any] | None:
        """What the script in the step has left; None where it did not come to that."""
        text = b""
        async for page in self._bucket.keys(f"{self.key}/{number}/outcome/"):
            for key, _ in page:
                text += await self._bucket.get(key) or b""
        with suppress(orjson.JSONDecodeError):
            outcome: dict[str, Any] = orjson.loads(text)
            return outcome
        return None

    async def parts(self, number: int) -> AsyncIterator[str]:
        """The keys of the output's files in their order, without the markers that Hadoop leaves."""
        prefix = f"{self.key}/{number}/parts/"
        async for page in self._bucket.keys(prefix):
            for key, size in page:
                if size and not any(name.startswith(("_", ".")) for name in key.removeprefix(prefix).split("/")):
                    yield key

    async def pieces(self, number: int) -> AsyncIterator[bytes]:
        """The files of the output as one stream."""
        async for key in self.parts(number):
            async for piece in self._bucket.pieces(key):
                yield piece


def _read(body: Any, size: int | None = None) -> bytes:
    with aws_errors("s3", "get_object"):
        data: bytes = body.read(size)
        return data
