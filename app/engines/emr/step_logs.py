"""The logs of a step, which EMR puts into a bucket some time after the step's end."""

import asyncio
import gzip
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.aws.errors import AwsError
from app.engines.base import EngineLogLine

_STREAMS = ("stdout", "stderr")
_MOST_BYTES = 8 * 1024 * 1024  # of a compressed log; what is longer is left in the bucket
_FIRST_LINES = 200
_LAST_LINES = 800
_LONGEST_LINE = 2_000


class StepLogs:
    """Fetches the lines of standard output and error, as many as a person reads."""

    def __init__(self, *, clients: AwsClients, keys_per_request: int) -> None:
        self._clients = clients
        self._keys_per_request = keys_per_request

    async def lines(self, log_uri: str, cluster: str, step: str) -> Sequence[EngineLogLine]:
        """Nothing where the logs are not there yet, or may not be read."""
        place = urlsplit(log_uri)
        bucket = Bucket(clients=self._clients, name=place.netloc, keys_per_request=self._keys_per_request)
        folder = "/".join(part for part in (place.path.strip("/"), cluster, "steps", step) if part)
        try:
            texts = [await self._text(bucket, f"{folder}/{stream}") for stream in _STREAMS]
        except AwsError:
            return []  # the work has ended as it has; its log is worth no failure
        return [
            line for stream, text in zip(_STREAMS, texts, strict=True) for line in log_lines(stream, text.splitlines())
        ]

    @staticmethod
    async def _text(bucket: Bucket, key: str) -> str:
        async for found in bucket.objects(key):
            if found.key in {key, f"{key}.gz"} and found.size_bytes <= _MOST_BYTES:
                data = await bucket.get(found.key) or b""
                if found.key.endswith(".gz"):
                    data = await asyncio.to_thread(_unpacked, data)
                return data.decode(errors="replace")
        return ""


def log_lines(stream: str, lines: Iterable[str]) -> list[EngineLogLine]:
    """The first lines and the last ones."""
    kept = list(lines)
    left_out = len(kept) - _FIRST_LINES - _LAST_LINES
    if left_out > 0:
        kept[_FIRST_LINES:-_LAST_LINES] = [f"… {left_out:,} lines are left out here"]
    now = datetime.now(UTC)
    return [EngineLogLine(at=now, stream=stream, text=line[:_LONGEST_LINE]) for line in kept]


def _unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return b""  # EMR is still writing it
