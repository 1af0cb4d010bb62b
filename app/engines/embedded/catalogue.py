"""The tables of the embedded engine: Parquet files that any number of worker processes read and replace at once.

A table that a task creates is a file of its playground; its name carries a version, and a new version never touches the
old file, so a query that is still reading sees one state of the table from its first byte to its last.
"""

import fcntl
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote
from uuid import UUID

from app.engines.base import TerminalEngineError, TransientEngineError
from app.engines.embedded.registered import RegisteredTable, RegisteredTables

_LONGEST_NAME_BYTES = 180  # encoded; a file's name may have 255, and version and ending want their share
_GRACE = timedelta(minutes=15)  # how long a replaced version stays for queries that still read it
_LOCK_PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a table: its file, and what tells when a file that is not ours was changed in its place."""

    path: Path
    modified_ns: int
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> "Version":
        try:
            facts = path.stat()
        except FileNotFoundError:  # whoever reads it will say so
            return cls(path, 0, 0)
        return cls(path, facts.st_mtime_ns, facts.st_size)


class TableNames(Mapping[str, Path]):
    """The tables of one playground at one moment; a registered table is converted when it is first asked for."""

    def __init__(self, *, created: Mapping[str, Path], registered: RegisteredTables) -> None:
        self._created = created
        self._registered = registered

    def __getitem__(self, name: str) -> Path:
        created = self._created.get(name)
        return created if created is not None else self._registered.parquet(name)

    def __contains__(self, name: object) -> bool:
        return name in self._created or name in self._registered.names

    def __iter__(self) -> Iterator[str]:
        yield from self._created
        yield from (name for name in self._registered.names if name not in self._created)

    def __len__(self) -> int:
        return len(self._created.keys() | self._registered.names)

    def at_hand(self, name: str) -> Path | None:
        """The table's file, unless it is a registered one that must be converted first."""
        created = self._created.get(name)
        return created if created is not None else self._registered.converted(name)

    def created(self, name: str) -> bool:
        """Whether a task of this playground made the table, so that a task may drop it."""
        return name in self._created


class Catalogue:
    """Tables by playground: those registered for all, and those that the playground's tasks made, which shadow them."""

    def __init__(self, *, root: Path, registered: Mapping[str, RegisteredTable]) -> None:
        self._playgrounds = root.resolve() / "playgrounds"
        self._registered = RegisteredTables(folder=root.resolve() / "registered", tables=registered, lock=file_lock)

    def tables(self, playground_id: UUID) -> TableNames:
        """Lower-cased name to Parquet file; names cost nothing, looking up a registered table may convert it first.

        Raises: TerminalEngineError on look-up of a registered table whose file is missing or unreadable.
        """
        folder = self._folder(playground_id)
        newest = {name: folder / versions[-1] for name, versions in self._versions(playground_id).items()}
        return TableNames(created=newest, registered=self._registered)

    def readable(self, playground_id: UUID) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """The folders and the single files that queries of this playground may read."""
        folders = (self._folder(playground_id), self._registered.folder)
        return folders, self._registered.files_in_place()

    def publish(self, playground_id: UUID, name: str, parquet_path: Path) -> Path:
        """Make the file the newest version of the table, at once for every process; the file is moved."""
        folder = self._folder(playground_id)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{encode_name(name)}~{time.time_ns():020d}.parquet"
        _move(parquet_path, target)
        self._sweep(playground_id, name.lower())
        return target

    def drop(self, playground_id: UUID, name: str) -> bool:
        """Remove a table that a task made; False where there is none."""
        versions = self._versions(playground_id).get(name.lower(), [])
        for file_name in versions:
            (self._folder(playground_id) / file_name).unlink(missing_ok=True)
        return bool(versions)

    @contextmanager
    def lock(
        self,
        playground_id: UUID,
        name: str,
        *,
        timeout: timedelta = timedelta(minutes=5),
        give_up: Callable[[], bool] | None = None,
    ) -> Iterator[None]:
        """Keep every other process and thread from changing the table; `give_up` ends the waiting early.

        Raises: TransientEngineError with code LOCKED.
        """
        path = self._folder(playground_id) / f"{encode_name(name)}.lock"
        with file_lock(path, timeout=timeout, give_up=give_up):
            yield

    def prepare(self) -> None:
        """Convert every registered table now, so that no task waits for it."""
        for name in self._registered.names:
            self._registered.parquet(name)

    def forget(self, playground_id: UUID) -> None:
        """Remove all that the playground's tasks made."""
        shutil.rmtree(self._folder(playground_id), ignore_errors=True)

    def _folder(self, playground_id: UUID) -> Path:
        return self._playgrounds / str(UUID(str(playground_id)))

    def _versions(self, playground_id: UUID) -> dict[str, list[str]]:
        """The file names of all versions of all tables, oldest first."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder(playground_id)))
        except FileNotFoundError:
            return {}
        versions: dict[str, list[str]] = {}
        for file_name in names:
            encoded, separator, version = file_name.partition("~")
            if separator and version.endswith(".parquet"):
                versions.setdefault(unquote(encoded), []).append(file_name)
        return versions

    def _sweep(self, playground_id: UUID, name: str) -> None:
        """Delete the versions that were replaced long enough ago for every reader to have ended."""
        versions = self._versions(playground_id).get(name, [])
        for old, successor in itertools.pairwise(versions):
            replaced_at_ns = int(successor.partition("~")[2].removesuffix(".parquet"))
            if time.time_ns() - replaced_at_ns > _GRACE.total_seconds() * 1e9:
                (self._folder(playground_id) / old).unlink(missing_ok=True)


def encode_name(name: str) -> str:
    """A file name for any table name: letters, digits and _ stay, every other byte is written as %xx.

    Raises: TerminalEngineError with code INVALID_NAME.
    """
    if not name or any(ord(character) < ord(" ") for character in name):
        raise TerminalEngineError(
            f"{name!r} cannot name a table: it is empty or holds control characters.", code="INVALID_NAME"
        )
    encoded = re.sub(
        rb"[^a-z0-9_]", lambda match: b"%%%02x" % match[0][0], name.lower().encode(errors="replace")
    ).decode()
    if len(encoded) > _LONGEST_NAME_BYTES:
        raise TerminalEngineError(
            f"The table name {name[:40]!r}… is too long; choose a shorter one.", code="INVALID_NAME"
        )
    return encoded


@contextmanager
def file_lock(path: Path, *, timeout: timedelta, give_up: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the file's lock against other processes and threads; the kernel frees it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout.total_seconds()
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline or (give_up is not None and give_up()):
                    message = f"Another task is still writing {unquote(path.stem)}; try again when it has ended."
                    raise TransientEngineError(message, code="LOCKED") from error
                time.sleep(_LOCK_PAUSE_SECONDS)
        yield


def _move(source: Path, target: Path) -> None:
    """Replace atomically, also from another file system."""
    try:
        source.replace(target)
    except OSError:
        aside = target.with_suffix(".incoming")
        shutil.copyfile(source, aside)
        aside.replace(target)
        source.unlink(missing_ok=True)
