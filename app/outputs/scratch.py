"""Files without a name, for what only passes through: they are gone with their process, even a killed one."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import BinaryIO

from app.outputs.base import StorageError


@contextmanager
def nameless_file(folder: Path) -> Iterator[Path]:
    """The path of an empty file, for this process and its children, while the context is open."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        yield path_of(file)


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
    """A target that keeps a file for a while: one without a name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._lock = Lock()  # a thread may still be at work for a task that was cancelled
        self._left = False

    @property
    def path(self) -> Path:
        """To be read after `finish`, and until `discard`."""
        if self._file is None:
            raise RuntimeError("nothing was written to this spool")
        return path_of(self._file)

    async def write(self, data: bytes | bytearray) -> None:
        await asyncio.to_thread(self._append, data)

    async def adopt(self, path: Path) -> None:
        await asyncio.to_thread(self._take_over, path)

    async def finish(self, rest: bytes | bytearray) -> int:
        return await asyncio.to_thread(self._complete, rest)

    async def discard(self) -> None:
        """Leave nothing behind; awaits nothing, so that a cancelled task clears up as well."""
        with self._lock:
            self._left = True
            self._clear()

    def _append(self, data: bytes | bytearray) -> BinaryIO:
        with self._lock:
            self._check()
            file = self._file = self._file or self._first_file()
            file.write(data)
            return file

    def _take_over(self, path: Path) -> None:
        with self._lock:
            self._check()
            self._file = path.open("ab")
            path.unlink()  # its folder may go at once, with all that is in it

    def _complete(self, rest: bytes | bytearray) -> int:
        file = self._append(rest)
        file.flush()
        return os.fstat(file.fileno()).st_size

    def _first_file(self) -> BinaryIO:
        try:
            return self._new_file()
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._new_file()

    def _new_file(self) -> BinaryIO:
        return TemporaryFile(dir=self._folder)

    def _clear(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # of what could not be written, to a full disk perhaps
                self._file.close()

    def _check(self) -> None:
        if self._left:
            raise RuntimeError("the sink has been left")


def path_of(file: BinaryIO) -> Path:
    """Of a file that may have no name."""
    # Linux opens the file itself by this path, with a position of its own, from other processes as well.
    return Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
