"""What a step is asked to do: the job that its script reads, and the step as EMR takes it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import Any

from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError, UdfKind, Work, WorkUdf
from app.engines.emr.statements import hive_statements, split_statements

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_CLASS = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*", re.ASCII)
_URI = re.compile(r"s3a?://[\w.!*()/=-]+", re.ASCII)  # nothing that ends a literal
_SCRIPTS = {
    TaskType.HIVE: "hive_step.py",
    TaskType.PRESTO: "presto_step.py",
    TaskType.SPARK_SQL: "spark_step.py",
    TaskType.PYSPARK: "spark_step.py",
}


@cache
def script(type: TaskType | None) -> tuple[str, bytes]:
    """The script's name, which changes with its text, and the text; without a type, that of comparisons."""
    name = "reconcile_step.py" if type is None else _SCRIPTS[type]
    text = (resources.files("app.engines.emr.scripts") / name).read_bytes()
    return f"{hashlib.sha256(text).hexdigest()[:16]}/{name}", text


def job(work: Work, uris: Mapping[str, str], *, presto: Mapping[str, str]) -> dict[str, Any]:
    """`uris` has the JARs by their digests. Raises: TerminalEngineError."""
    query = _utf8(work.query)
    functions = [_function(udf, uris[udf.sha256], work.type) for udf in work.udfs]
    match work.type:
        case TaskType.PYSPARK:
            return {"script": query, "functions": functions}
        case TaskType.HIVE:
            before, result = hive_statements(query)
            return {"statements": before, **asdict(result), "functions": functions}
        case TaskType.PRESTO:
            return {"statements": _some(split_statements(query, "presto")), **presto}
        case TaskType.SPARK_SQL:
            return {"statements": _some(split_statements(query, "spark")), "functions": functions}
        case _:
            raise TerminalEngineError(f"EMR runs no tasks of the type {work.type}.", code="NOT_SUPPORTED")


def step(work: Work, uris: Mapping[str, str], *, script_uri: str, region: str) -> dict[str, Any]:
    """The step's JAR and arguments; the folder of the try is to follow as the last one.

    No part of the task's text is in here, and no shell reads it.
    """
    if work.type in {TaskType.HIVE, TaskType.PRESTO}:
        runner = f"s3://{region}.elasticmapreduce/libs/script-runner/script-runner.jar"
        return {"Jar": runner, "Args": [script_uri]}
    # Spark's own kind of function is looked for among the classes that Spark was started with.
    jars = sorted({uris[udf.sha256] for udf in work.udfs if udf.kind is UdfKind.SPARK})
    return {
        "Jar": "command-runner.jar",
        "Args": [
            *("spark-submit", "--deploy-mode", "client", "--conf", "spark.sql.catalogImplementation=hive"),
            *(("--jars", ",".join(jars)) if jars else ()),
            script_uri,
        ],
    }


def comparison_step(*, script_uri: str, package_uri: str, python: str) -> dict[str, Any]:
    """The step of a comparison; what is compared, and how, stands in its job alone."""
    return {
        "Jar": "command-runner.jar",
        "Args": [
            *("spark-submit", "--deploy-mode", "client", "--conf", f"spark.pyspark.python={python}"),
            *("--py-files", package_uri, script_uri),
        ],
    }


def _function(udf: WorkUdf, uri: str, type: TaskType) -> dict[str, str | None]:
    if type is TaskType.PRESTO or (type is TaskType.HIVE and udf.kind is UdfKind.SPARK):
        language = "Presto" if type is TaskType.PRESTO else "Hive"
        raise TerminalEngineError(
            f"{language} cannot run the function {udf.function_name}: its class is none of {language}'s.", code="UDF"
        )
    if not _IDENTIFIER.fullmatch(udf.function_name) or not _CLASS.fullmatch(udf.class_name) or not _URI.fullmatch(uri):
        raise TerminalEngineError(
            f"The function {udf.function_name!r} of the class {udf.class_name!r} in {uri!r} cannot be registered:"
            " give it names of letters, digits and underscores.",
            code="UDF",
        )
    return {
        "name": udf.function_name,
        "class": udf.class_name,
        "kind": udf.kind.value,
        "uri": uri,
        "return_type": udf.return_type,
    }


def _some(statements: Sequence[str]) -> Sequence[str]:
    if not statements:
        raise TerminalEngineError("The query holds no statement; write one.", code="SYNTAX")
    return statements


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TerminalEngineError(
            f"The text has a broken character at position {error.start + 1}; write it anew.", code="SYNTAX"
        ) from error
    return text
