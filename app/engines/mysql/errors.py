"""What an error number of MySQL or MariaDB means to a task: whether to try again, and a word for it."""

from collections.abc import Mapping

from asyncmy.errors import IntegrityError, InterfaceError, MySQLError

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError

# Numbers from 2000 are the client's own, from 1900 to 1999 and from 4000 on MariaDB's alone.
_TRANSIENT: Mapping[int, str] = {
    1020: "CONFLICT",  # record changed since last read
    1021: "DISK_FULL",
    1037: "OUT_OF_MEMORY",
    1038: "OUT_OF_MEMORY",
    1040: "TOO_MANY_CONNECTIONS",
    1041: "OUT_OF_MEMORY",
    1042: "CONNECTION",
    1043: "CONNECTION",
    1053: "SERVER_SHUTDOWN",
    1135: "OUT_OF_MEMORY",  # no new thread
    1152: "CONNECTION",
    1158: "CONNECTION",
    1159: "CONNECTION",
    1160: "CONNECTION",
    1161: "CONNECTION",
    1184: "CONNECTION",
    1203: "TOO_MANY_CONNECTIONS",
    1205: "LOCK_WAIT",
    1213: "DEADLOCK",
    1226: "TOO_MANY_CONNECTIONS",
    1614: "DEADLOCK",
    1637: "TOO_MANY_CONNECTIONS",
    1927: "CONNECTION",  # the connection was killed
    2002: "CONNECTION",
    2003: "CONNECTION",
    2005: "CONNECTION",
    2006: "CONNECTION",
    2012: "CONNECTION",
    2013: "CONNECTION",
    2014: "CONNECTION",
    2026: "CONNECTION",
    2027: "CONNECTION",
    2055: "CONNECTION",
    3572: "LOCK_WAIT",
    4031: "CONNECTION",  # closed for inactivity
}
_TERMINAL: Mapping[int, str] = {
    1044: "PERMISSION",
    1045: "PERMISSION",
    1046: "NO_DATABASE",
    1049: "DATABASE_NOT_FOUND",
    1051: "TABLE_NOT_FOUND",
    1052: "AMBIGUOUS_COLUMN",
    1054: "COLUMN_NOT_FOUND",
    1064: "SYNTAX",
    1065: "SYNTAX",  # empty query
    1109: "TABLE_NOT_FOUND",
    1142: "PERMISSION",
    1143: "PERMISSION",
    1146: "TABLE_NOT_FOUND",
    1149: "SYNTAX",
    1227: "PERMISSION",
    1248: "SYNTAX",  # a derived table without an alias
    1264: "DATA",
    1290: "PERMISSION",  # the server runs with --read-only or the like
    1292: "DATA",
    1305: "FUNCTION_NOT_FOUND",
    1317: "KILLED",
    1365: "DATA",
    1366: "DATA",
    1370: "PERMISSION",
    1406: "DATA",
    1698: "PERMISSION",
    1792: "READ_ONLY",
    1836: "READ_ONLY",
    1969: "TIMEOUT",  # max_statement_time
    3024: "TIMEOUT",  # max_execution_time
    4025: "CONSTRAINT",
}


def engine_error(error: MySQLError | OSError) -> EngineError:
    """The error in the engines' words; raise it `from error`."""
    number, message = _parts(error)
    if isinstance(error, OSError | InterfaceError):
        return TransientEngineError(f"The connection to the server was lost: {message}", code="CONNECTION")
    if number in _TRANSIENT:
        return TransientEngineError(f"{message} (error {number})", code=_TRANSIENT[number])
    code = "CONSTRAINT" if isinstance(error, IntegrityError) else _TERMINAL.get(number, "ENGINE_ERROR")
    return TerminalEngineError(f"{message} (error {number})", code=code)


def _parts(error: Exception) -> tuple[int, str]:
    match error.args:
        case (int() as number, str() as message, *_):
            return number, message
        case _:
            return 0, str(error) or type(error).__name__
