"""What the table of a source is made of: one file, or the parts in a folder as Spark and its kin write them."""

import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from errno import EACCES
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from app.domain.errors import InvalidError, NotFoundError
from app.outputs.base import StorageError

Found = TypeVar("Found")

_READ_BYTES = 2**20

# Hears, again and again, how many bytes were brought; an error that it raises ends the bringing.
Brought = Callable[[int], None]


class Part(Protocol):
    """A file of the table; `path` is None where it does not lie on this machine, or cannot be read twice."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int | None:
        """None where that shows at the end only."""

    @property
    def path(self) -> Path | None: ...

    def pieces(self, brought: Brought) -> Generator[bytes, None, None]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalPart:
    name: str
    size_bytes: int | None
    path: Path | None
    opened: Path

    def pieces(self, brought: Brought) -> Generator[bytes, None, None]:
        done = 0
        with self.opened.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                done += len(piece)
                brought(done)
                yield piece


def local_parts(path: Path) -> list[LocalPart]:
    """The file, or those of the folder in the order of their names.

    Raises: NotFoundError, InvalidError, StorageError.
    """
    try:
        if not path.is_dir():
            return [_part(path)]
        found = sorted(each for each in path.rglob("*") if each.is_file())
        parts = [_part(each) for each in found if is_part(each.relative_to(path).as_posix(), of=str(path))]
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}: check the path.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.", retriable=False) from error
    return told_empty([part for part in parts if part.size_bytes], str(path))


def is_part(name: str, *, of: str) -> bool:
    """Whether a file in a folder has rows: markers and checksums have not.

    Raises: InvalidError where folders have the values of a column, which the files then lack.
    """
    *folders, _ = names = PurePosixPath(name).parts
    if any(each.startswith(("_", ".")) for each in names):
        return False
    if parted := next((each for each in folders if "=" in each), None):
        raise InvalidError(
            f"{of} is partitioned: the column {parted.partition('=')[0]!r} stands in the names of its folders, and not"
            f" in the files. Name one partition, such as {of.rstrip('/')}/{parted}."
        )
    return True


def told_empty(parts: list[Found], of: str) -> list[Found]:
    """Raises: NotFoundError."""
    if not parts:
        raise NotFoundError(f"{of} is a folder without files that have rows.")
    return parts


def _part(path: Path) -> LocalPart:
    facts = path.stat()
    regular = stat.S_ISREG(facts.st_mode)  # a pipe is read once, and must not be opened to try
    if not os.access(path, os.R_OK):
        raise PermissionError(EACCES, os.strerror(EACCES))
    return LocalPart(
        name=str(path), size_bytes=facts.st_size if regular else None, path=path if regular else None, opened=path
    )
