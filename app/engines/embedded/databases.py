"""DuckDB databases in memory, one for each playground, closed to everything but the playground's own files."""

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import UUID

import duckdb

from app.engines.embedded.catalogue import Catalogue, Version
from app.engines.embedded.literals import literal

# An idle database costs 3 to 5 MB; opening one costs 15 to 30 ms, more than many a task.
_KEPT_IDLE = 64
_KEPT_RESTING = 8  # of those that were not used for REST_SECONDS
REST_SECONDS = 30.0
_MOST_VIEWS = 200  # of a session that is used again


@dataclass(kw_only=True, slots=True)
class Session:
    """A connection for one job at a time, and what the playground's earlier jobs made in it: views and macros.

    `reusable` is for the job to deny; an error denies it anyway.
    """

    connection: duckdb.DuckDBPyConnection
    views: dict[str, Version] = field(default_factory=dict)
    macros: set[str] = field(default_factory=set)
    reusable: bool = True


@dataclass(kw_only=True, slots=True)
class _Database:
    connection: duckdb.DuckDBPyConnection
    idle: list[Session] = field(default_factory=list)
    users: int = 0
    used_at: float = 0.0

    def close(self) -> None:
        for session in self.idle:
            session.connection.close()
        self.connection.close()


class Databases:
    """Opens a database when a playground first needs it; its jobs share it, each by a session of its own.

    Temporary views and macros belong to a session, so jobs that run at once do not see each other's. The limits are per
    database.
    """

    def __init__(self, *, catalogue: Catalogue, scratch: Path, memory_limit_bytes: int, threads: int) -> None:
        self._catalogue = catalogue
        self._scratch = scratch
        self._memory_limit_bytes = memory_limit_bytes
        self._threads = threads
        self._lock = threading.Lock()
        self._open: OrderedDict[UUID, _Database] = OrderedDict()
        self._spare: duckdb.DuckDBPyConnection | None = None

    def folder(self, playground_id: UUID) -> Path:
        """Where jobs of the playground write."""
        return self._scratch / str(playground_id)

    @contextmanager
    def session(self, playground_id: UUID) -> Iterator[Session]:
        with self._lock:
            database = self._open.get(playground_id)
            if database is None:
                database = self._open[playground_id] = _Database(connection=self._connect(playground_id))
            self._open.move_to_end(playground_id)
            database.users += 1
            session = database.idle.pop() if database.idle else Session(connection=database.connection.cursor())
        ended_well = False
        try:
            yield session
            ended_well = session.reusable and len(session.views) <= _MOST_VIEWS
        finally:
            with self._lock:
                database.users -= 1
                database.used_at = monotonic()
                if ended_well and self._open.get(playground_id) is database:
                    database.idle.append(session)
                else:
                    session.connection.close()
                self._close_idle(most=_KEPT_IDLE)

    def rest(self) -> bool:
        """Close what has not been used for long, but for a few; whether there is more than these few still."""
        with self._lock:
            self._close_idle(most=_KEPT_RESTING, unused_since=monotonic() - REST_SECONDS)
            more = len(self._open) > _KEPT_RESTING
        _give_back_memory()
        return more

    def prepare(self) -> None:
        """Open a database ahead of the next playground's first job."""
        spare = self._connect_open()
        with self._lock:
            if self._spare is None:
                self._spare = spare
                return
        spare.close()

    def discard(self, playground_id: UUID) -> None:
        """Open a new database next time; the present one has failed."""
        with self._lock:
            self._open.pop(playground_id, None)

    def close(self) -> None:
        with self._lock:
            for database in self._open.values():
                database.close()
            self._open.clear()
            if self._spare is not None:
                self._spare.close()
                self._spare = None

    def _close_idle(self, *, most: int, unused_since: float = float("inf")) -> None:
        """The longest unused first, as many as there are beyond `most`."""
        surplus = len(self._open) - most
        if surplus > 0:
            idle = [key for key, one in self._open.items() if one.users == 0 and one.used_at <= unused_since]
            for key in idle[:surplus]:
                self._open.pop(key).close()

    def _connect(self, playground_id: UUID) -> duckdb.DuckDBPyConnection:
        """Close a database to all but the playground's files: after this no statement opens it again."""
        folder = self.folder(playground_id)
        folder.mkdir(parents=True, exist_ok=True)
        folders, files = self._catalogue.readable(playground_id)
        connection, self._spare = self._spare or self._connect_open(), None
        connection.execute(f"SET GLOBAL temp_directory = {literal(str(folder / 'spill'))}")
        connection.execute("SET GLOBAL allowed_directories = ?", [[str(path) for path in (folder, *folders)]])
        connection.execute("SET GLOBAL allowed_paths = ?", [[str(path) for path in files]])
        connection.execute("SET GLOBAL enable_external_access = false")
        connection.execute("SET GLOBAL lock_configuration = true")
        return connection

    def _connect_open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": self._threads,
                "memory_limit": f"{self._memory_limit_bytes}B",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            },
        )
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        return connection


def _give_back_memory() -> None:
    """Let the system have what closed databases took, where the C library is one that keeps it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
