"""The verbs of the HiveServer2 protocol on one connection; every call blocks its thread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.outputs import OutputColumn
from app.engines.base import EngineError
from app.engines.hive.columns import output_columns, rows_of
from app.engines.hive.errors import server_error
from app.engines.hive.handles import Operation, ServerKey
from app.engines.hive.transport import Channel, HiveAddress

_PROTOCOL_V10 = 9  # cells by columns, log lines by fetching, and whether there are rows in the status
_SUCCESSES = {0, 1, 2}  # plain, with information, and still executing
_ANSWER_MS = 120_000  # for what takes a server milliseconds, unless it collects its garbage
_ROWS, _LOG = 0, 1
_NEXT, _FIRST = 0, 4
_EXECUTE_STATEMENT = 0
_LINES_AT_ONCE = 1_000


class OperationState(StrEnum):
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


_STATES: Mapping[int, OperationState] = {
    0: OperationState.RUNNING,
    1: OperationState.RUNNING,
    2: OperationState.FINISHED,
    3: OperationState.CANCELLED,
    4: OperationState.CANCELLED,  # closed
    7: OperationState.RUNNING,  # pending
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationStatus:
    """`has_rows` is None where the server does not say."""

    state: OperationState
    has_rows: bool | None = None
    progress: float | None = None
    error: EngineError | None = None


class HiveWire:
    """Connects when it is made. That and every call may raise TransientEngineError or TerminalEngineError."""

    def __init__(self, address: HiveAddress) -> None:
        self._channel = Channel(address)
        self._types = self._channel.types
        self._user, _ = address.account
        self._broken = False

    @property
    def is_usable(self) -> bool:
        return not (self._broken or self._channel.is_closed)

    def open_session(self, settings: Mapping[str, str]) -> ServerKey:
        answer = self._call(
            "OpenSession", client_protocol=_PROTOCOL_V10, username=self._user, configuration=dict(settings)
        )
        return _key(answer.sessionHandle.sessionId)

    def close_session(self, session: ServerKey) -> None:
        self._call("CloseSession", sessionHandle=self._session(session))

    def execute(self, session: ServerKey, text: str) -> Operation:
        """Begin a statement, which may take a while: Hive may compile it first."""
        answer = self._call(
            "ExecuteStatement",
            patience_ms=None,
            sessionHandle=self._session(session),
            statement=text,
            runAsync=True,
        )
        handle = answer.operationHandle
        return Operation(session=session, key=_key(handle.operationId), has_rows=bool(handle.hasResultSet))

    def status(self, operation: Operation) -> OperationStatus:
        """What has become of it; the server waits a little before it says that nothing has."""
        answer = self._call("GetOperationStatus", operationHandle=self._operation(operation))
        state = _STATES.get(answer.operationState, OperationState.FAILED)
        failed = state is OperationState.FAILED
        return OperationStatus(
            state=state,
            has_rows=answer.hasResultSet,
            error=server_error(answer.errorMessage, state=answer.sqlState, code=answer.errorCode) if failed else None,
        )

    def log(self, operation: Operation) -> list[str]:
        """The lines since the last call."""
        vectors = self._fetch(operation, what=_LOG, orientation=_NEXT, size=_LINES_AT_ONCE)
        return [line.decode("utf-8", "replace") for vector in vectors[:1] for line in vector.stringVal.values]

    def columns(self, operation: Operation) -> tuple[OutputColumn, ...]:
        answer = self._call("GetResultSetMetadata", operationHandle=self._operation(operation))
        return () if answer.schema is None else output_columns(answer.schema.columns)

    def fetch(
        self, operation: Operation, columns: Sequence[OutputColumn], *, first: bool, size: int
    ) -> list[tuple[Any, ...]] | None:
        """The first or the next rows, none at the end; None where the statement has no result set after all."""
        vectors = self._fetch(operation, what=_ROWS, orientation=_FIRST if first else _NEXT, size=size)
        # Spark names one column for statements without any, and then sends none.
        return rows_of(vectors, columns) if vectors else None

    def cancel(self, operation: Operation) -> None:
        self._call("CancelOperation", operationHandle=self._operation(operation))

    def close_operation(self, operation: Operation) -> None:
        self._call("CloseOperation", operationHandle=self._operation(operation))

    def shut(self) -> None:
        """Close the connection, from any thread."""
        self._broken = True
        self._channel.shut()

    def _fetch(self, operation: Operation, *, what: int, orientation: int, size: int) -> Sequence[Any]:
        answer = self._call(
            "FetchResults",
            patience_ms=None,  # some servers compute the rows only now
            operationHandle=self._operation(operation),
            orientation=orientation,
            maxRows=size,
            fetchType=what,
        )
        vectors: Sequence[Any] = answer.results.columns or ()
        return vectors

    def _call(self, verb: str, *, patience_ms: int | None = _ANSWER_MS, **fields: Any) -> Any:
        try:
            answer = self._channel.call(verb, patience_ms=patience_ms, **fields)
        except EngineError:
            self._broken = True  # what comes next on it may be the answer to something else
            raise
        status = answer.status
        if status.statusCode not in _SUCCESSES:
            raise server_error(status.errorMessage, state=status.sqlState, code=status.errorCode)
        return answer

    def _session(self, key: ServerKey) -> Any:
        return self._types.TSessionHandle(sessionId=self._identifier(key))

    def _operation(self, operation: Operation) -> Any:
        return self._types.TOperationHandle(
            operationId=self._identifier(operation.key),
            operationType=_EXECUTE_STATEMENT,
            hasResultSet=operation.has_rows,
        )

    def _identifier(self, key: ServerKey) -> Any:
        return self._types.THandleIdentifier(guid=key.guid, secret=key.secret)


def _key(identifier: Any) -> ServerKey:
    return ServerKey(guid=identifier.guid, secret=identifier.secret)
