"""Short ways to write into a store, and to look behind it at what is kept."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pytest

from app.aws.bucket import Bucket
from app.domain.outputs import OutputColumn
from app.outputs.base import OutputStore

PLAYGROUND, RUN, TASK = (UUID(int=number) for number in (1, 2, 3))
COLUMNS = (OutputColumn(name="id", type="INT"), OutputColumn(name="na,me", type="VARCHAR"))

FEW = [(1, "a")]
MANY = [(number, "x" * 1_000) for number in range(10_000)]  # more than one part of an upload
few_and_many = pytest.mark.parametrize("rows", [FEW, MANY], ids=["few", "many"])


def new_sink(store: OutputStore, *, attempt: int = 1, **kwargs):
    return store.sink(
        started_at=datetime(2026, 1, 5, 23, 30, tzinfo=UTC),
        playground_id=PLAYGROUND,
        run_id=RUN,
        task_run_id=TASK,
        attempt=attempt,
        **kwargs,
    )


def new_file(tmp_path: Path, text: bytes) -> Path:
    """In a folder of its own."""
    path = tmp_path / "made" / "made.csv"
    path.parent.mkdir()
    path.write_bytes(text)
    return path


async def batches(*all_of_them):
    for batch in all_of_them:
        yield batch


async def written(store: OutputStore, *all_of_them, columns=COLUMNS, **kwargs):
    async with new_sink(store, **kwargs) as sink:
        await sink.write_rows(columns, batches(*all_of_them))
    return sink.stored


async def content(store: OutputStore, location: str, **kwargs) -> bytes:
    return b"".join([piece async for piece in store.open(location, **kwargs)])


def files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def open_copies(folder: Path) -> int:
    """Files in the folder that this process holds open, with a name or without."""
    return len(_open_files(folder))


def _open_files(folder: Path) -> list[str]:
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread's, which is closed by now
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(f"{folder}/")]


class Heard:
    """The shares of a copy that were told."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    async def __call__(self, share: float) -> None:
        self.shares.append(share)


class Shelf(Protocol):
    store: OutputStore
    folder: Path

    async def complete(self) -> list[str]:
        """The locations that a reader may find."""

    async def unfinished(self) -> int:
        """How much is being written, or was left behind."""


@dataclass(kw_only=True)
class LocalShelf:
    store: OutputStore
    folder: Path

    async def complete(self) -> list[str]:
        root = self.folder / "outputs"
        return [str(path.relative_to(root)) for path in files(root) if ".partial" not in path.parts]

    async def unfinished(self) -> int:
        complete = [f"{self.folder}/outputs/{location}" for location in await self.complete()]
        return len({*_open_files(self.folder), *map(str, files(self.folder))}.difference(complete))


@dataclass(kw_only=True)
class S3Shelf:
    store: OutputStore
    bucket: Bucket
    folder: Path

    async def complete(self) -> list[str]:
        return [found.key.removeprefix("team/outputs/") async for found in self.bucket.objects("")]

    async def unfinished(self) -> int:
        uploads = await self.bucket._call("list_multipart_uploads")
        return len(uploads.get("Uploads", ())) + len(files(self.folder))
