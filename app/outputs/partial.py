"""A file that is being written aside in the folder of a local store, until it is complete and moved into its place."""

import asyncio
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

MOVE_TRIES = 5


class PartialFile:
    """The target of a local sink; it is made once there is more to write than is held."""

    def __init__(self, *, partial: Path, target: Path) -> None:
        self._partial = partial
        self._target = target
        self._file: BinaryIO | None = None
        self._files = Lock()  # a thread may still be writing for a task that was cancelled
        self._discarded = False

    async def write(self, data: bytes | bytearray) -> None:
        await asyncio.to_thread(self._append, data)

    async def adopt(self, path: Path) -> None:
        await asyncio.to_thread(_adopt, path, self._partial)

    async def finish(self, rest: bytes | bytearray) -> int:
        return await asyncio.to_thread(self._complete, rest)

    async def discard(self) -> None:
        """Leave nothing behind but what has its place; awaits nothing, so that a cancelled task clears up as well."""
        with self._files:
            self._discarded = True
            if self._file is not None:
                with suppress(OSError):  # of what could not be written, to a full disk perhaps
                    self._file.close()
            self._partial.unlink(missing_ok=True)

    def _complete(self, rest: bytes | bytearray) -> int:
        with self._append(rest) as file:
            sync(file)
            size_bytes = file.tell()
        move_into_place(self._partial, self._target)
        return size_bytes

    def _append(self, data: bytes | bytearray) -> BinaryIO:
        with self._files:
            if self._discarded:
                raise RuntimeError("the sink has been left")
            if self._file is None:
                self._file = _open_at_end(self._partial)
            self._file.write(data)
            return self._file


def sync(file: BinaryIO) -> None:
    """Bring the bytes to the disk: without it a crash could leave the name without them."""
    file.flush()
    os.fsync(file.fileno())


def move_into_place(partial: Path, target: Path) -> None:
    for attempt in range(1, MOVE_TRIES + 1):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.replace(target)
        except FileNotFoundError:  # a deletion has just taken the folder for one that stays empty
            if attempt == MOVE_TRIES or not partial.exists():
                raise
        else:
            return


def _open_at_end(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")


def _adopt(source: Path, partial: Path) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(partial)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, partial)
        source.unlink()
