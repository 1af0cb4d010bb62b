"""A file that is being written aside in the folder of a local store, until it is complete and has its place."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from app.outputs.scratch import Spool, path_of

_PLACING_TRIES = 5
_COPIED_BYTES = 1024 * 1024  # between two looks whether anybody still wants the copy


class PartialFile(Spool):
    """The target of a local sink; it is made once there is more to write than is held.

    It gets its first name when it takes its place, so that a process which is killed leaves nothing behind. It has one
    before, in its folder, where it was adopted, or the file system cannot do without.
    """

    def __init__(self, folder: Path, *, target: Path) -> None:
        super().__init__(folder)
        self._target = target
        self._aside = folder / uuid4().hex
        self._named = False

    def _new_file(self) -> BinaryIO:
        try:
            descriptor = os.open(self._folder, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:
            descriptor = os.open(self._aside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            self._named = True
        return os.fdopen(descriptor, "w+b")

    def _take_over(self, path: Path) -> None:
        with path.open("rb") as source:
            _sync(source)  # now, when it belongs to its maker yet: a moment later it has a name that is nobody's
            try:
                self._rename(path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                while data := source.read(_COPIED_BYTES):
                    self._append(data)
                path.unlink()

    def _rename(self, path: Path) -> None:
        with self._lock:
            self._check()
            self._folder.mkdir(parents=True, exist_ok=True)
            path.replace(self._aside)
            self._named = True
            self._file = self._aside.open("ab")

    def _complete(self, rest: bytes | bytearray) -> int:
        file = self._append(rest)
        _sync(file)  # without the lock: who discards the file does not wait for a slow disk
        with self._lock:
            self._check()
            self._take_place(file)
            return os.fstat(file.fileno()).st_size

    def _take_place(self, file: BinaryIO) -> None:
        if not self._named:
            with suppress(OSError):  # something lies there already; or the file system has no links
                _beside_others(self._target, lambda: _link(file, self._target))
                return
            self._named = True
            _name(file, self._aside)
        _beside_others(self._target, lambda: self._aside.replace(self._target))
        self._named = False

    def _clear(self) -> None:
        super()._clear()
        if self._named:
            self._aside.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    """Bring the bytes to the disk: without it a crash could leave the name without them."""
    file.flush()
    os.fsync(file.fileno())


def _beside_others(target: Path, place: Callable[[], object]) -> None:
    """Have the file placed in its folder, which is made."""
    for attempt in range(1, _PLACING_TRIES + 1):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            place()
        except FileNotFoundError:  # a deletion has just taken the folder for one that stays empty
            if attempt == _PLACING_TRIES:
                raise
        else:
            return


def _link(file: BinaryIO, name: Path) -> None:
    # With a descriptor, which counts for nothing beside absolute paths, Python calls linkat(2): it names the file that
    # a path of /proc stands for.
    os.link(path_of(file), name, src_dir_fd=file.fileno(), follow_symlinks=True)


def _name(file: BinaryIO, name: Path) -> None:
    try:
        _link(file, name)
    except OSError:
        shutil.copyfile(path_of(file), name)
        with name.open("rb") as copy:
            _sync(copy)
