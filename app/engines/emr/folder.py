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

from app.aws.bucket import Bucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Where an attempt stands; `deadline` is in seconds since 1970."""

    number: int = 1  # of the try
    cluster: str | None = None
    step: str | None = None
    deadline: float | None = None


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
        async for found in self._bucket.objects(f"{self.key}/{number}/outcome/"):
            text += await self._bucket.get(found.key) or b""
        with suppress(orjson.JSONDecodeError):
            outcome: dict[str, Any] = orjson.loads(text)
            return outcome
        return None

    async def parts(self, number: int) -> AsyncIterator[str]:
        """The keys of the output's files in their order, without the markers that Hadoop leaves."""
        prefix = f"{self.key}/{number}/parts/"
        async for found in self._bucket.objects(prefix):
            names = found.key.removeprefix(prefix).split("/")
            if found.size_bytes and not any(name.startswith(("_", ".")) for name in names):
                yield found.key

    async def pieces(self, number: int) -> AsyncIterator[bytes]:
        """The files of the output as one stream."""
        async for key in self.parts(number):
            async for piece in self._bucket.stream(key):
                yield piece
