"""What a failure that a HiveServer2 reports means to a task: whether to try again, and a word for it."""

import re
from collections.abc import Mapping

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError

# Spark's states are those of the standard; Hive has its own, and more in its codes.
_BY_STATE: Mapping[str, str] = {
    "42601": "SYNTAX",
    "42K0E": "SYNTAX",
    "42P01": "TABLE_NOT_FOUND",
    "42S02": "TABLE_NOT_FOUND",
    "42703": "COLUMN_NOT_FOUND",
    "42S22": "COLUMN_NOT_FOUND",
    "42702": "AMBIGUOUS_COLUMN",
    "42704": "DATABASE_NOT_FOUND",
    "42883": "FUNCTION_NOT_FOUND",
    "46103": "FUNCTION_NOT_FOUND",
    "42501": "PERMISSION",
    "28000": "PERMISSION",
    "42P07": "TABLE_EXISTS",
    "42S01": "TABLE_EXISTS",
    "HYT00": "TIMEOUT",
    "0A000": "UNSUPPORTED",
    "P0001": "DATA",  # the query's own assertion
}
_BY_CLASS: Mapping[str, str] = {"22": "DATA", "23": "CONSTRAINT", "42": "INVALID_QUERY"}
_TRANSIENT_CLASSES: Mapping[str, str] = {
    "08": "CONNECTION",
    "40": "CONFLICT",
    "53": "OUT_OF_MEMORY",  # resources of any kind
    "57": "CONNECTION",  # an operator has intervened
    "58": "CONNECTION",
}
_BY_CODE: Mapping[int, str] = {
    40000: "INVALID_QUERY",
    10001: "TABLE_NOT_FOUND",
    10002: "COLUMN_NOT_FOUND",
    10003: "COLUMN_NOT_FOUND",
    10004: "COLUMN_NOT_FOUND",
    10007: "AMBIGUOUS_COLUMN",
    10011: "FUNCTION_NOT_FOUND",
    10072: "DATABASE_NOT_FOUND",
    40003: "PERMISSION",
}
# Hive has no state and no code of its own for it.
_UNPARSED = re.compile(r"^FAILED: ParseException\b")
# The protocol has no state and no code for what the server has forgotten.
_FORGOTTEN = re.compile(r"Invalid OperationHandle|Invalid SessionHandle|Session does not exist", re.IGNORECASE)
_CONDITION = re.compile(r"^\s*\[[A-Z][A-Z0-9_.]*\]\s*", re.MULTILINE)
_STACK = re.compile(r"\n\s*(?:at [\w.$]+[(/]|\.\.\. \d+ more|Caused by: )|(?<=;)\n'")
_WRAPPING = re.compile(
    r"^(?:\s*(?:[\w$]+\.)+[\w$]*(?:Exception|Error)\s*:|\s*Error running query:|\s*Error while compiling statement:"
    r"|\s*Error while processing statement:)\s*"
)


class ForgottenError(TerminalEngineError):
    """The server does not know the session or the operation (any more)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="LOST")


def server_error(message: str | None, *, state: str | None, code: int | None) -> EngineError:
    """The error of a status that the server has sent."""
    told = plain_message(message or "")
    if _FORGOTTEN.search(told):
        return ForgottenError("The server does not know this query (any more): its session has ended.")
    state, code = state or "", code or 0
    told = told or "The server says that the query failed, and not why; its log tells more."
    word = _TRANSIENT_CLASSES.get(state[:2])
    if word is not None:
        return TransientEngineError(told, code=word)
    found = _BY_STATE.get(state) or _BY_CODE.get(code) or _BY_CLASS.get(state[:2]) or "ENGINE_ERROR"
    return TerminalEngineError(told, code="SYNTAX" if _UNPARSED.match(told) else found)


def plain_message(message: str) -> str:
    """What the server says to a person: without Java's classes before it and its stack after it."""
    head = _STACK.split(message, maxsplit=1)[0]
    while (bare := _WRAPPING.sub("", _CONDITION.sub("", head, count=1))) != head:
        head = bare
    return head.strip().rstrip(";")


def lost_connection(reason: object) -> TransientEngineError:
    return TransientEngineError(f"The connection to the server was lost: {reason}", code="CONNECTION")
