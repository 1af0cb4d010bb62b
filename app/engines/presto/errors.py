"""What Presto's errors mean to the platform: a word for each, and whether another attempt may succeed."""

from collections.abc import Mapping
from typing import Any

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError
from app.engines.presto.statements import Statement

_NOT_FOUND = {
    "CATALOG_NOT_FOUND",
    "COLUMN_NOT_FOUND",
    "FUNCTION_NOT_FOUND",
    "MISSING_CATALOG",
    "MISSING_COLUMN",
    "MISSING_SCHEMA",
    "MISSING_TABLE",
    "NOT_FOUND",
    "ROLE_NOT_FOUND",
    "SCHEMA_NOT_FOUND",
    "TABLE_NOT_FOUND",
    "VIEW_NOT_FOUND",
}
_PERMISSION = {"PERMISSION_DENIED", "ACCESS_DENIED", "INVALID_CREDENTIALS"}
_TRANSIENT_TYPES = {"INSUFFICIENT_RESOURCES", "EXTERNAL"}
# Of the type INTERNAL_ERROR, which is terminal otherwise: the server's own fault comes again.
_TRANSIENT = {
    "ABANDONED_QUERY",
    "ABANDONED_TASK",
    "CLUSTER_HAS_NO_WORKERS",
    "NO_NODES_AVAILABLE",
    "PAGE_TRANSPORT_ERROR",
    "PAGE_TRANSPORT_TIMEOUT",
    "REMOTE_HOST_GONE",
    "REMOTE_TASK_ERROR",
    "REMOTE_TASK_FAILED",
    "REMOTE_TASK_MISMATCH",
    "SERVER_SHUTTING_DOWN",
    "SERVER_STARTING_UP",
    "TOO_MANY_REQUESTS_FAILED",
}
USER_CANCELLED = "USER_CANCELED"  # the server's spelling


def engine_error(error: Mapping[str, Any], statement: Statement | None = None) -> EngineError:
    """The platform's word for the error of a query; a place in `statement` becomes one in the whole text."""
    name = error.get("errorName") or "ENGINE_ERROR"
    message = _placed(error, statement)
    if name in _TRANSIENT or (error.get("errorType") in _TRANSIENT_TYPES and not name.startswith("EXCEEDED_")):
        return TransientEngineError(message, code=name)
    # What exceeds its own limits of time, memory or size does so again: EXCEEDED_… is terminal.
    return TerminalEngineError(message, code=_code(name, error))


def _code(name: str, error: Mapping[str, Any]) -> str:
    if name in _NOT_FOUND:
        return "NOT_FOUND"
    if name in _PERMISSION:
        return "PERMISSION"
    if name != "SYNTAX_ERROR":
        return name
    # Presto says SYNTAX_ERROR of all that the text itself is wrong in, and the class of the exception tells which.
    if not _cause(error).endswith("SemanticException"):
        return "SYNTAX"
    words = str(error.get("message"))
    return "NOT_FOUND" if words.endswith(("does not exist", "cannot be resolved", "not registered")) else "SEMANTIC"


def _cause(error: Mapping[str, Any]) -> str:
    return str((error.get("failureInfo") or {}).get("type") or "")


def _placed(error: Mapping[str, Any], statement: Statement | None) -> str:
    message = str(error.get("message") or error.get("errorName") or "The query failed, and the server says not why.")
    place = error.get("errorLocation")
    if not place or statement is None:
        return message
    line, column = place["lineNumber"], place["columnNumber"]
    in_text = f"line {line + statement.line - 1}:{column + (statement.column - 1 if line == 1 else 0)}: "
    return in_text + message.removeprefix(f"line {line}:{column}: ")
