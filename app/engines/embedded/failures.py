"""DuckDB's exceptions as the engine's failures: wrong texts, data that does not fit, a machine in trouble."""

import os
import re
from errno import EDQUOT, EFBIG, ENOSPC

import duckdb

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError, Work

FULL = (ENOSPC, EDQUOT, EFBIG)
_MISSING_FUNCTION = re.compile(r"Function with name \"?(\w+)\"? (?:does not exist|is not)")
_FULL = re.compile("|".join(re.escape(os.strerror(number)) for number in FULL))  # DuckDB gives the system's words
_PHANTOM = re.compile(r"phantom_", re.IGNORECASE)


def refuse_udfs(work: Work) -> None:
    """Raises: TerminalEngineError where the work wants functions of a JAR: no query runs without them in silence."""
    if work.udfs:
        named = ", ".join(udf.function_name for udf in work.udfs)
        raise TerminalEngineError(
            f"The embedded engine has no JVM, so it cannot call this task's UDFs ({named}). Configure a Hive or Spark "
            f"server for {work.type} tasks (`connector` in the settings), or take the UDFs out of the task.",
            code="UNSUPPORTED",
        )


def failure_of(error: duckdb.Error) -> EngineError:  # noqa: PLR0911 - one return for each kind
    """The typed failure; the message is DuckDB's first line without its own prefix."""
    text = _PHANTOM.sub("", str(error).strip().partition("\n")[0])
    message = text.partition("Error: ")[2] or text
    match error:
        case duckdb.OutOfMemoryException():
            advice = "The query needs more memory than the embedded engine may use; read less data or raise the limit."
            return TerminalEngineError(f"{advice} ({message})", code="OUT_OF_MEMORY")
        case duckdb.PermissionException():
            return TerminalEngineError(f"Refused: {message}", code="REFUSED")
        case duckdb.FatalException() | duckdb.InternalException():
            return TransientEngineError(f"The embedded engine failed and was restarted: {message}", code="ENGINE_ERROR")
        case duckdb.IOException() if _FULL.search(message):
            return TransientEngineError(f"There is no room for the query's rows: {message}", code="STORAGE")
        case duckdb.IOException():
            return TransientEngineError(f"A file could not be read or written: {message}", code="IO_ERROR")
        case duckdb.CatalogException():
            missing = _MISSING_FUNCTION.search(message)
            if missing:
                said = f"The function {missing[1].upper()} is not supported by the embedded engine."
                return TerminalEngineError(said, code="UNSUPPORTED")
            return TerminalEngineError(message, code="INVALID_QUERY")
        case duckdb.ConversionException() | duckdb.OutOfRangeException() | duckdb.InvalidInputException():
            return TerminalEngineError(f"The data does not fit the query: {message}", code="DATA_ERROR")
        case duckdb.ParserException() | duckdb.NotSupportedError():
            return TerminalEngineError(f"Not supported by the embedded engine: {message}", code="UNSUPPORTED")
        case _:
            return TerminalEngineError(message, code="INVALID_QUERY")
