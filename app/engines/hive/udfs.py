"""Functions of JARs, as statements that register them in the session that runs the query."""

import re

from app.engines.base import TerminalEngineError, UdfKind, WorkUdf

_CLASS = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*")


def registration(udf: WorkUdf) -> str:
    """The statement that registers the function. Raises: TerminalEngineError."""
    if udf.kind is not UdfKind.HIVE:
        raise TerminalEngineError(
            f"The function {udf.function_name} is a Spark function ({udf.class_name}), which Hive cannot call: give"
            " this task a Hive UDF (a class that extends UDF, GenericUDF, UDAF or GenericUDTF), or make it a SPARK_SQL"
            " task.",
            code="UDF_REFUSED",
        )
    if not (_FUNCTION.fullmatch(udf.function_name) and _CLASS.fullmatch(udf.class_name)):
        raise TerminalEngineError(
            f"{udf.function_name!r} of the class {udf.class_name!r} cannot be registered: names are letters, digits"
            " and underscores.",
            code="UDF_REFUSED",
        )
    return f"CREATE TEMPORARY FUNCTION `{udf.function_name}` AS '{udf.class_name}' USING JAR '{_quoted(_place(udf))}'"


def not_registered(udf: WorkUdf, message: str) -> TerminalEngineError:
    where = (
        f"its JAR at {udf.uri}"
        if udf.uri is not None
        else f"its JAR, which is the file {udf.jar} of this worker: a server on another machine needs outputs in S3,"
        " or a folder that both share"
    )
    return TerminalEngineError(
        f"The function {udf.function_name} could not be registered: {message.rstrip('.')}. The server must be able to"
        f" read {where}.",
        code="UDF",
    )


def _place(udf: WorkUdf) -> str:
    return udf.jar.resolve().as_uri() if udf.uri is None else udf.uri


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
