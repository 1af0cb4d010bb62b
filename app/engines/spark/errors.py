"""What an error of a Spark Connect server means to a task: whether to try again, and a word for it."""

from collections.abc import Mapping
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError

_LONGEST_MESSAGE = 4_000
# By Spark's error condition, or its first part; else by the SQL state, or its class. Both belong to Spark's interface.
_CONDITIONS: Mapping[str, str] = {
    "OPERATION_CANCELED": "KILLED",
    "PATH_NOT_FOUND": "NOT_FOUND",
    "SCHEMA_NOT_FOUND": "DATABASE_NOT_FOUND",
    "UNSUPPORTED_FEATURE": "UNSUPPORTED",
}
_STATES: Mapping[str, str] = {
    "22": "DATA",
    "23": "CONSTRAINT",
    "42501": "PERMISSION",
    "42601": "SYNTAX",
    "42703": "COLUMN_NOT_FOUND",
    "42704": "NOT_FOUND",
    "42883": "FUNCTION_NOT_FOUND",
    "42P01": "TABLE_NOT_FOUND",
    "42": "ANALYSIS",
    "0A": "UNSUPPORTED",
}
_BUSY_STATES = {"08", "53", "57"}  # connection, resources, intervention of an operator
_CONNECTION_CODE = "CONNECTION"
_UNKNOWN_HANDLE = "INVALID_HANDLE"
_NO_LONGER_THERE = "INVALID_CURSOR"
_TAKEN = "INVALID_CURSOR.DISCONNECTED"

_CONNECTION = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,  # by the server; what is cancelled here ends as asyncio's own error
    # Without an error of Spark's own, a stream that was cut off.
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
_PERMISSION = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


class HandleError(TerminalEngineError):
    """The server does not know the session or the operation, or has dropped what was to be read again.

    `is_taken`: it has them, and another process reads there now.
    """

    def __init__(self, message: str, *, is_taken: bool = False) -> None:
        super().__init__(message, code="LOST")
        self.is_taken = is_taken


def engine_error(error: grpc.aio.AioRpcError) -> EngineError:
    """The error in the engines' words; raise it `from error`."""
    message = (error.details() or "").strip()[:_LONGEST_MESSAGE] or error.code().name
    info = _info(error)
    if info is None:
        return _of_the_call(error.code(), message)
    condition, state = info.get("errorClass", ""), info.get("sqlState", "")
    first = condition.partition(".")[0]
    if first in {_UNKNOWN_HANDLE, _NO_LONGER_THERE}:
        return HandleError(message, is_taken=condition == _TAKEN)
    if state[:2] in _BUSY_STATES:
        return TransientEngineError(message, code="UNAVAILABLE")
    known = _CONDITIONS.get(condition) or _CONDITIONS.get(first)
    code = known or _STATES.get(state) or _STATES.get(state[:2]) or "ENGINE_ERROR"
    return TerminalEngineError(message, code=code)


def is_broken_connection(error: EngineError) -> bool:
    return isinstance(error, TransientEngineError) and error.code == _CONNECTION_CODE


def _of_the_call(status: grpc.StatusCode, message: str) -> EngineError:
    if status in _CONNECTION:
        return TransientEngineError(f"The connection to the Spark server failed: {message}", code=_CONNECTION_CODE)
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return TransientEngineError(f"The Spark server has too much to do: {message}", code="UNAVAILABLE")
    code = "PERMISSION" if status in _PERMISSION else "ENGINE_ERROR"
    return TerminalEngineError(f"The Spark server refused: {message}", code=code)


def _info(error: grpc.aio.AioRpcError) -> dict[str, str] | None:
    """What Spark itself says of the error; None where the call has failed on its way."""
    try:
        status: Any = rpc_status.from_call(error)
    except ValueError:  # the call's own status and the one that it carries differ
        return None
    for detail in status.details if status is not None else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return dict(info.metadata)
    return None
