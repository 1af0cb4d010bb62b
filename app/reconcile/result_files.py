"""Files that the command writes: aside first, and in place when they are whole."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NoReturn

from app.domain.errors import InvalidError, UnavailableError


class ResultFile:
    """A full disk is told with the file's name.

    Nothing is buffered: a buffer has a lock, and who ends the process must not wait for a thread that hangs in a write.
    """

    def __init__(self, path: Path, stream: FileIO, *, aside: bool) -> None:
        self._path = path
        self._stream = stream
        self._is_aside = aside

    def write(self, content: bytes | memoryview) -> None:
        left = memoryview(content)
        try:
            while left:  # a write may take a part alone
                left = left[self._stream.write(left) :]
        except OSError as error:
            refuse(self._path, error)

    @property
    def rewind(self) -> Callable[[], None] | None:
        """Takes back what was written; None where it has gone already, as into a pipe."""
        return self._empty if self._is_aside else None

    def _empty(self) -> None:
        try:
            self._stream.seek(0)
            self._stream.truncate()
        except OSError as error:
            refuse(self._path, error)


@contextmanager
def result_file(path: Path) -> Iterator[ResultFile]:
    """Takes the place of `path` at the end; whatever goes wrong, or is interrupted, leaves what was there before."""
    if path.exists() and not path.is_file():
        with _opened(path, "w") as stream:  # a pipe, or a device such as /dev/stdout
            yield ResultFile(path, stream, aside=False)
        return
    place = path.resolve()  # through a link, to keep it
    aside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with _opened(aside, "x", told=path) as stream:
            yield ResultFile(path, stream, aside=True)
        try:
            aside.replace(place)
        except OSError as error:
            refuse(path, error)
    finally:
        aside.unlink(missing_ok=True)


def check_place(path: Path | None, *, option: str, others: dict[str, Path]) -> None:
    """Refuses early what could only fail after the comparison, or would overwrite one of `others`, by their names."""
    if path is None:
        return
    if path.is_dir():
        raise InvalidError(f"{option} {path} is a folder: name a file in it.")
    if not path.resolve().parent.is_dir():
        raise InvalidError(f"{option} {path}: there is no folder {path.resolve().parent}; make it first.")
    for name, other in others.items():
        if other.exists() and path.exists() and path.samefile(other) and path.is_file():
            raise InvalidError(f"{option} {path} is {name} itself: name another file.")
        if path.resolve() == other.resolve():
            raise InvalidError(f"{option} {path} is the file of {name} too: name another file.")


def refuse(path: Path, error: OSError) -> NoReturn:
    raise UnavailableError(
        f"{path} cannot be written ({error.strerror}): free space there, or name another file."
    ) from error


@contextmanager
def _opened(path: Path, mode: str, *, told: Path | None = None) -> Iterator[FileIO]:
    try:
        stream = FileIO(path, mode)
    except OSError as error:
        refuse(told or path, error)
    with stream:
        yield stream
