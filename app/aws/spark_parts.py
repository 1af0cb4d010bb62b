"""What Spark and Hive write to a folder of S3: many part files, which are one table."""

import re
from collections.abc import AsyncIterator

from app.aws.bucket import Bucket, ObjectFacts
from app.aws.errors import TerminalAwsError

_PART = re.compile(r"(?:part-)?([0-9]+)[^/]*")  # Spark's part-00000-<uuid>-c000.csv, Hive's 000000_0
_MARK = "_SUCCESS"
_COMPRESSED = (".gz", ".bz2", ".snappy", ".zst", ".lz4", ".deflate", ".parquet", ".orc")


async def part_objects(bucket: Bucket, folder: str, *, marked: bool = True) -> list[ObjectFacts]:
    """The parts of a folder in their order, without the empty ones; `marked`: one without _SUCCESS is not complete.

    Raises: TerminalAwsError where the folder is not complete, or its parts are no plain text; TransientAwsError.
    """
    place = folder.rstrip("/") + "/"
    parts: list[tuple[int, ObjectFacts]] = []
    complete = not marked
    async for found in bucket.objects(place):
        name = found.key.removeprefix(place)
        complete |= name == _MARK
        if (match := _PART.fullmatch(name)) is None or not found.size_bytes:
            continue
        if name.endswith(_COMPRESSED):
            raise TerminalAwsError(f"{bucket.uri(found.key)} is no plain CSV.", code="NoPlainText")
        parts.append((int(match[1]), found))
    if not complete:
        raise TerminalAwsError(
            f"{bucket.uri(place)} has no {_MARK}: its job did not end well.", code="IncompleteOutput"
        )
    return [part for _, part in sorted(parts, key=lambda numbered: (numbered[0], numbered[1].key))]


async def part_pieces(bucket: Bucket, folder: str, *, marked: bool = True) -> AsyncIterator[bytes]:
    """The bytes of all parts, one after the other; each part ends with a newline.

    Raises: TerminalAwsError, TransientAwsError.
    """
    for part in await part_objects(bucket, folder, marked=marked):
        last = b""
        async for piece in bucket.pieces(part.key):
            last = piece[-1:] or last
            yield piece
        if last != b"\n":
            yield b"\n"
