"""User-defined functions: what their names and types may be, and which kinds of task take them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from app.domain.errors import InvalidError
from app.domain.tasks import TaskType

MAX_FUNCTION_NAME = 128
MAX_CLASS_NAME = 500
MAX_TYPE = 1_000
MAX_PARAMETERS = 100
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class UdfKind(StrEnum):
    """What a function's class is to Spark; to Hive it is a HIVE one or nothing."""

    HIVE = "HIVE"  # extends UDF, GenericUDF, UDAF, GenericUDTF, …
    SPARK = "SPARK"  # implements org.apache.spark.sql.api.java.UDF0 to UDF22


KINDS_OF_TASKS: Mapping[TaskType, frozenset[UdfKind]] = {
    TaskType.HIVE: frozenset({UdfKind.HIVE}),
    TaskType.SPARK_SQL: frozenset(UdfKind),
    TaskType.PYSPARK: frozenset(UdfKind),
    TaskType.PRESTO: frozenset(),
    TaskType.MYSQL: frozenset(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenUdf:
    """A function as a run has it: what happens to the UDF later changes nothing of it.

    `location` is where the JAR lies in the output store.
    """

    function_name: str
    class_name: str
    kind: UdfKind
    jar_sha256: str
    location: str
    parameter_types: tuple[str, ...] = ()
    return_type: str | None = None

    def to_document(self) -> dict[str, Any]:
        return {**asdict(self), "parameter_types": [*self.parameter_types]}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **document,
                "kind": UdfKind(document["kind"]),
                "parameter_types": tuple(document["parameter_types"]),
            }
        )


def taken_of(documents: Iterable[Mapping[str, Any]] | None) -> tuple[TakenUdf, ...]:
    """The functions of a snapshot; None stands for none."""
    return tuple(TakenUdf.of_document(each) for each in documents or ())


def same_functions(left: Collection[TakenUdf], right: Collection[TakenUdf]) -> bool:
    """Whether a text would call the same code by the same names, wherever the JARs lie."""
    return {_code_of(each) for each in left} == {_code_of(each) for each in right}


def _code_of(function: TakenUdf) -> TakenUdf:
    return replace(function, function_name=function.function_name.lower(), location="")


def refuse_kind(type_: TaskType, kind: UdfKind, name: str, *, path: tuple[str, ...]) -> None:
    """Raises: InvalidError where tasks of this type cannot call functions of this kind."""
    taken = KINDS_OF_TASKS[type_]
    if kind in taken:
        return
    if not taken:
        raise InvalidError(
            f"A {type_} task takes no UDFs: their JARs run in Hive and Spark alone. Make it a HIVE, SPARK_SQL or "
            f"PYSPARK task, or leave «{name}» out.",
            path=path,
        )
    raise InvalidError(
        f"«{name}» is a Spark function, which Hive cannot call. Use it in a SPARK_SQL or PYSPARK task, or upload one "
        f"whose class extends Hive's UDF or GenericUDF.",
        path=path,
    )


def checked_function_name(name: str) -> str:
    """Raises: InvalidError."""
    if not _FUNCTION_NAME.fullmatch(name) or len(name) > MAX_FUNCTION_NAME:
        raise InvalidError(
            f"A function's name has letters, digits and _, begins with no digit, and has at most {MAX_FUNCTION_NAME} "
            f"characters; it is what a query calls, such as my_lower.",
            path=("functionName",),
        )
    return name


def checked_class_name(name: str) -> str:
    """Raises: InvalidError. A Java class with its package, a nested one with `$`: no quote can stand in it."""
    parts = name.replace("$", "_").split(".")
    if len(name) > MAX_CLASS_NAME or not all(part.isidentifier() for part in parts):
        raise InvalidError(
            "A class is named with its package, such as com.example.udf.Lower, a nested one as com.example.Udfs$Lower.",
            path=("className",),
        )
    return name


def checked_parameter_types(types: Sequence[str]) -> list[str]:
    """Raises: InvalidError."""
    if len(types) > MAX_PARAMETERS:
        raise InvalidError(f"A function has at most {MAX_PARAMETERS} parameters.", path=("parameterTypes",))
    return [_checked_type(each, path=("parameterTypes", str(index))) for index, each in enumerate(types)]


def checked_return_type(type_: str | None) -> str | None:
    """Raises: InvalidError."""
    return None if type_ is None or not type_.strip() else _checked_type(type_, path=("returnType",))


def _checked_type(text: str, *, path: tuple[str, ...]) -> str:
    """A type in Spark's words: it becomes a part of statements, so nothing else may be one."""
    text = text.strip()
    try:
        parsed = sqlglot.parse_one(text, read="spark", into=exp.DataType) if len(text) <= MAX_TYPE else None
    except (SqlglotError, RecursionError):
        parsed = None
    if parsed is None or any(_is_unknown(each) for each in parsed.find_all(exp.DataType)):
        raise InvalidError(
            f"{text[:80]!r} is no SQL type; write it in Spark's words, such as string, bigint, decimal(10,2), "
            f"array<string> or struct<a: int, b: string>.",
            path=path,
        )
    return text


def _is_unknown(type_: exp.DataType) -> bool:
    return type_.this in {exp.DataType.Type.USERDEFINED, exp.DataType.Type.UNKNOWN, exp.DataType.Type.NULL}
