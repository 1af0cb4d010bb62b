"""Files without a name, for what only passes through: they are gone with their process, even a killed one."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4

from app.outputs.base import StorageError


@contextmanager
def nameless_file(folder: Path) -> Iterator[Path]:
    """The path of an empty file, for this process and its children, while the context is open."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        yield _path_of(file)


@contextmanager
def nameable_file(folder: Path) -> Iterator[Path]:
    """As `nameless_file`, for what may become a file that stays: see `give_name`.

    Where the file system has no files without names, it has one that the context takes away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = folder / uuid4().hex
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:
        descriptor = os.open(named, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            yield named if named.exists() else _path_of(file)
        finally:
            named.unlink(missing_ok=True)


def give_name(file: Path, name: Path) -> None:
    """Let the file of a `nameable_file` stay under a name that is free, beside its folder's other files."""
    folder = os.open(name.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a folder, Python calls linkat(2), which names the file that a path of /proc stands for.
        os.link(file, name.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    except OSError:  # a file system without links
        shutil.copyfile(file, name)
    finally:
        os.close(folder)


def refuse_without_room(folder: Path, size_bytes: int) -> None:
    """Raises: StorageError where a copy of this size would fill the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise StorageError(
            f"A temporary copy of {size_bytes:,} bytes finds no room in {folder}, where {free:,} are free: make room,"
            " or set outputs.directory to a larger disk.",
            retriable=False,
        )


class Spool:
    """A target that keeps a file for a while: a nameless one, or one that was adopted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._adopted: Path | None = None

    @property
    def path(self) -> Path:
        """To be read after `finish`."""
        if self._adopted is not None:
            return self._adopted
        if self._file is None:
            raise RuntimeError("nothing was written to this spool")
        return _path_of(self._file)

    async def write(self, data: bytes | bytearray) -> None:
        await asyncio.to_thread(self._append, data)

    async def adopt(self, path: Path) -> None:
        self._adopted = path

    async def finish(self, rest: bytes | bytearray) -> int:
        if self._adopted is None:
            await asyncio.to_thread(self._append, rest)
        return self.path.stat().st_size

    async def discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # of what could not be written, to a full disk perhaps
                self._file.close()
        if self._adopted is not None:
            self._adopted.unlink(missing_ok=True)

    def _append(self, data: bytes | bytearray) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by discard
        self._file.write(data)


def _path_of(file: BinaryIO) -> Path:
    # Linux opens the file itself by this path, with a position of its own, from other processes as well.
    return Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
