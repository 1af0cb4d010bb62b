"""Columns and cells of a HiveServer2 result: types in the server's words, columns of Thrift's made into rows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from app.domain.outputs import OutputColumn

_NAMES: Mapping[int, str] = {
    0: "BOOLEAN",
    1: "TINYINT",
    2: "SMALLINT",
    3: "INT",
    4: "BIGINT",
    5: "FLOAT",
    6: "DOUBLE",
    7: "STRING",
    8: "TIMESTAMP",
    9: "BINARY",
    10: "ARRAY",
    11: "MAP",
    12: "STRUCT",
    13: "UNIONTYPE",
    16: "NULL",
    17: "DATE",
    20: "INTERVAL YEAR TO MONTH",
    21: "INTERVAL DAY TO SECOND",
    22: "TIMESTAMP WITH LOCAL TIME ZONE",
}
_VECTORS = ("stringVal", "i32Val", "i64Val", "doubleVal", "boolVal", "i16Val", "byteVal", "binaryVal")
_MICROSECONDS = len("2026-01-05 09:30:00.123456")


def output_columns(descriptions: Sequence[Any]) -> tuple[OutputColumn, ...]:
    """The columns of Thrift's column descriptions."""
    return tuple(OutputColumn(name=each.columnName, type=_type_name(each.typeDesc)) for each in descriptions)


def rows_of(vectors: Sequence[Any], columns: Sequence[OutputColumn]) -> list[tuple[Any, ...]]:
    """The rows of Thrift's column vectors, of which each has its values and a bit for each NULL."""
    return list(
        zip(*(_cells(vector, column.type) for vector, column in zip(vectors, columns, strict=True)), strict=True)
    )


def _type_name(description: Any) -> str:
    entry = description.types[0].primitiveEntry
    if entry is None:
        return "STRING"
    qualifiers = {} if entry.typeQualifiers is None else entry.typeQualifiers.qualifiers
    numbers = {name: value.i32Value for name, value in qualifiers.items()}
    match entry.type:
        case 15:
            return f"DECIMAL({numbers.get('precision', 10)},{numbers.get('scale', 0)})"
        case 18 | 19 as code:
            name, length = {18: "VARCHAR", 19: "CHAR"}[code], numbers.get("characterMaximumLength")
            return name if length is None else f"{name}({length})"
        case code:
            return _NAMES.get(code, f"TYPE_{code}")


def _cells(vector: Any, type_name: str) -> Sequence[Any]:
    held = next(held for name in _VECTORS if (held := getattr(vector, name)) is not None)
    values, present = held.values, _present(held.nulls, len(held.values))
    read = _READERS.get(type_name.partition("(")[0], _text)
    if vector.stringVal is None:  # numbers, booleans and bytes come as what they are
        cells = values
    elif present is None:
        return [read(value) for value in values]
    else:
        cells = [read(value) if there else None for value, there in zip(values, present, strict=True)]
    return cells if present is None else [cell if there else None for cell, there in zip(cells, present, strict=True)]


def _present(nulls: bytes, count: int) -> list[bool] | None:
    """Whether each value is there; None where all are. Servers leave trailing zero bytes out."""
    bits = int.from_bytes(nulls, "little") & ((1 << count) - 1)
    if not bits:
        return None
    return [digit == "0" for digit in reversed(f"{bits:0{count}b}")]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _decimal(value: bytes) -> Decimal | str:
    try:
        return Decimal(value.decode())
    except InvalidOperation:
        return _text(value)


def _date(value: bytes) -> date | str:
    try:
        return date.fromisoformat(value.decode())
    except ValueError:  # years that Python has not
        return _text(value)


def _timestamp(value: bytes) -> datetime | str:
    """A moment; as text where Python's would lose its nanoseconds, its zone's name or its year."""
    text = value.decode()
    exact = text if len(text) <= _MICROSECONDS else text.rstrip("0")
    try:
        return datetime.fromisoformat(exact) if len(exact) <= _MICROSECONDS else text
    except ValueError:
        return text


_READERS: Mapping[str, Callable[[bytes], Any]] = {
    "DECIMAL": _decimal,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
}
