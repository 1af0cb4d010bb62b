"""Columns and cells of Presto's answers: what is text there already stays as the server has written it."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from app.domain.outputs import OutputColumn

Reading = Callable[[Any], Any]
Signature = Mapping[str, Any]
_NESTED = {"array", "map", "row"}


def output_columns(columns: Sequence[Mapping[str, Any]]) -> tuple[OutputColumn, ...]:
    """Labels and types as the server names them."""
    return tuple(OutputColumn(name=column["name"], type=column["type"]) for column in columns)


def row_reading(columns: Sequence[Mapping[str, Any]]) -> Callable[[Sequence[Sequence[Any]]], Sequence[Sequence[Any]]]:
    """Reads rows of these columns; the rows themselves where no cell needs reading.

    Numbers, texts, booleans and NULL are JSON's own; decimals, moments and base64 are texts that are exact as they are.
    """
    readings = {
        index: reading
        for index, column in enumerate(columns)
        if (reading := _reading_of_cell(column.get("typeSignature") or {})) is not None
    }
    if not readings:
        return lambda rows: rows

    def read(rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        lists = [list(row) for row in rows]
        for row in lists:
            for index, reading in readings.items():
                if row[index] is not None:
                    row[index] = reading(row[index])
        return lists

    return read


def _reading_of_cell(signature: Signature) -> Reading | None:
    if signature.get("rawType") in {"double", "real"}:
        return float  # NaN and the infinities are texts in JSON
    return _reading_of_nested(signature) if signature.get("rawType") in _NESTED else None


def _reading_of_nested(signature: Signature) -> Reading:
    inside = _reading_inside(signature)

    def read(value: Any) -> Any:
        if isinstance(value, str):  # Presto's own way with what is nested, at every depth, unless it is set otherwise
            value = orjson.loads(value)
        return value if inside is None else inside(value)

    return read


def _reading_inside(signature: Signature) -> Reading | None:
    """How the parts are read, where JSON has no NaN and a date is text; None where they are what they are."""
    names, types = _parts(signature)
    readings = [_reading_of_part(type_) for type_ in types]
    if signature["rawType"] == "row":
        return _row_reading(names, readings)
    reading = readings[-1] if readings else None  # of a map, only the values can be anything but text
    if reading is None:
        return None
    return _array_reading(reading) if signature["rawType"] == "array" else _map_reading(reading)


def _reading_of_part(signature: Signature) -> Reading | None:
    if signature.get("rawType") == "decimal":
        return _optional(Decimal)
    return _optional(_reading_of_nested(signature)) if signature.get("rawType") in _NESTED else None


def _array_reading(reading: Reading) -> Reading:
    return lambda items: [reading(item) for item in items]


def _map_reading(reading: Reading) -> Reading:
    return lambda entries: {key: reading(value) for key, value in entries.items()}


def _row_reading(names: Sequence[str | None], readings: Sequence[Reading | None]) -> Reading:
    """Rows have their fields' names, unless one has none or two have the same."""

    def read(values: Sequence[Any]) -> Any:
        cells = [reading(value) if reading else value for reading, value in zip(readings, values, strict=True)]
        return dict(zip(names, cells, strict=True)) if named else cells

    named = all(names) and len(set(names)) == len(names)
    return read


def _optional(reading: Reading) -> Reading:
    return lambda value: None if value is None else reading(value)


def _parts(signature: Signature) -> tuple[Sequence[str | None], Sequence[Signature]]:
    """The names of the fields, where it is a row, and the types of what is inside."""
    if "typeArguments" in signature:  # Presto's; its `arguments` have the types of fields as mere text
        types = signature["typeArguments"]
        return signature.get("literalArguments") or [None] * len(types), types
    values = [argument["value"] for argument in signature.get("arguments", ())]
    if signature["rawType"] != "row":
        return [None] * len(values), values
    names = [(value.get("fieldName") or {}).get("name") for value in values]
    return names, [value["typeSignature"] for value in values]
