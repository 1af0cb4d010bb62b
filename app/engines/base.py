"""The four verbs that every engine speaks, and the facts that travel with them.

A worker calls `submit`, stores the handle, calls `poll` until the work has ended, and `fetch`es the output into the
sink. `cancel` may come at any time, from any task of the event loop. Engines wrap every vendor's exception at their
edge, in `TransientEngineError` (worth another attempt) or `TerminalEngineError` (the same text fails again).
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from app.domain.outputs import OutputColumn
from app.domain.tasks import TaskType
from app.domain.udfs import UdfKind as UdfKind  # noqa: PLC0414 - engines take it from here

LOST = "LOST"  # the code of work that its engine does not know (any more); another attempt is made of it


class EngineError(Exception):
    """The engine could not do the work; `code` is a short upper-case word such as SYNTAX, NOT_FOUND, LOST."""

    retriable = False

    def __init__(self, message: str, *, code: str = "ENGINE_ERROR") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class TransientEngineError(EngineError):
    """Another attempt may well succeed: a lost connection, a deadlock, throttling."""

    retriable = True


class TerminalEngineError(EngineError):
    """The same text would fail again: a syntax error, a missing table, a refused permission."""


class EngineKind(StrEnum):
    EMBEDDED = "EMBEDDED"
    DIRECT = "DIRECT"
    EMR = "EMR"


class WorkState(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkUdf:
    """A function to register in the very session that runs the work, under `function_name`.

    `jar` is the JAR on this machine, `sha256` its digest in hexadecimal. `uri` names the same bytes where a cluster can
    read them (`s3://…`); None where the output store is a folder of this machine. Types are SQL types in Spark's words.
    """

    function_name: str
    class_name: str
    kind: UdfKind
    jar: Path
    sha256: str
    uri: str | None = None
    parameter_types: tuple[str, ...] = ()
    return_type: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One attempt at a task, as it was when its run started."""

    task_run_id: UUID
    attempt: int
    playground_id: UUID
    type: TaskType
    query: str
    connection: str | None = None
    timeout: timedelta | None = None
    udfs: tuple[WorkUdf, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Handle:
    """What names the work in the engine. `durable`: another process can poll, cancel and fetch by it."""

    text: str
    durable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLogLine:
    """A line of the engine's log; `stream` is stdout, stderr or engine."""

    at: datetime
    stream: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Poll:
    """What has become of the work: `log` has the lines since the last poll, `error` is set when it FAILED.

    `progress` is between 0 and 1, as the engine itself tells it; None where it cannot. `handle` is the work's name from
    now on where that has changed: who polls again has stored it, so that another process is not left with an old one.
    """

    state: WorkState
    error: EngineError | None = None
    progress: float | None = None
    log: Sequence[EngineLogLine] = field(default=())
    handle: Handle | None = None


class OutputSink(Protocol):
    """Where `fetch` puts the output of one attempt; complete only once one of the calls has returned."""

    delimiter: str

    async def write_rows(
        self, columns: Sequence[OutputColumn], batches: AsyncIterator[Sequence[Sequence[Any]]]
    ) -> None:
        """Write rows as they come, in batches; cells are Python values, None is NULL."""

    async def write_csv(self, text: bytes, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        """Take a finished CSV text by the house's rules (see app.domain.csv_format), one of some 100 kB at most."""

    async def write_records(self, columns: Sequence[OutputColumn], pieces: AsyncIterator[bytes]) -> None:
        """Write CSV records by the house's rules without their header, in pieces that may end anywhere; counts them."""

    async def adopt_csv(self, path: Path, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        """Take over a finished CSV file by the same rules; the file is moved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineHealth:
    healthy: bool
    message: str | None = None


class Engine(Protocol):
    """One configured connection to an engine, shared by every task of the process that uses it.

    `capacity` tells how many works at once one process may give it, some of which it may keep waiting; None: as many
    as one likes.
    """

    name: str
    kind: EngineKind
    types: frozenset[TaskType]
    capacity: int | None

    async def submit(self, work: Work) -> Handle:
        """Start the work and return at once; an engine may begin at the first poll, once the handle is kept.

        Raises: TransientEngineError, TerminalEngineError.
        """

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        """Return as soon as the work ends or has new log lines, at the latest after `wait`.

        Raises: TransientEngineError where the engine cannot be asked; TerminalEngineError with code LOST where the
        engine does not know the handle (any more).
        """

    async def cancel(self, handle: Handle) -> None:
        """Stop the work in the engine itself; returns when that was asked for. Unknown handles are ignored."""

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        """Bring the output of succeeded work into the sink; then the engine may forget the handle.

        Work without a result set (DDL) gives an output without columns and rows.
        """

    async def check(self) -> EngineHealth:
        """Tell, within a few seconds, whether work could be submitted now."""

    async def forget(self, playground_id: UUID) -> None:
        """Remove what the engine keeps for a playground that was deleted, such as the tables of its tasks."""

    async def close(self) -> None:
        """Release connections, threads and child processes; cancel what still runs unless its handle is durable."""


@runtime_checkable
class Catalogued(Protocol):
    """An engine that tells the columns of its tables at once, for those who write texts for it."""

    async def columns(self, tables: Collection[str], *, playground_id: UUID | None) -> Mapping[str, Sequence[str]]:
        """The columns, in order, of those of the tables that are known; `tables` are names as texts say them.

        A playground's tasks may have made tables that only it sees. Raises: EngineError.
        """
