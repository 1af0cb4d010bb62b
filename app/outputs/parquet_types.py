"""Which type a column has in a Parquet file, by the name that its engine gave it."""

import re
from collections.abc import Mapping

MAGIC = b"PAR1"  # how a file begins and ends
TEXT = "VARCHAR"
_WIDEST_DECIMAL = 38

# Engines name alike what is alike; what is not here (JSON, ARRAY, MAP, INTERVAL, ENUM, …) stays the text that it is.
# An integer has room for the next wider one's values, for MEDIUMINT and YEAR have no counterpart.
_TYPES: Mapping[str, str] = {
    "BOOLEAN": "BOOLEAN",
    "BOOL": "BOOLEAN",
    "TINYINT": "TINYINT",
    "BYTE": "TINYINT",
    "SMALLINT": "SMALLINT",
    "SHORT": "SMALLINT",
    "YEAR": "SMALLINT",
    "INT": "INTEGER",
    "INTEGER": "INTEGER",
    "MEDIUMINT": "INTEGER",
    "BIGINT": "BIGINT",
    "LONG": "BIGINT",
    "UTINYINT": "UTINYINT",
    "USMALLINT": "USMALLINT",
    "UINTEGER": "UINTEGER",
    "UBIGINT": "UBIGINT",
    "TINYINT UNSIGNED": "UTINYINT",
    "SMALLINT UNSIGNED": "USMALLINT",
    "MEDIUMINT UNSIGNED": "UINTEGER",
    "INT UNSIGNED": "UINTEGER",
    "BIGINT UNSIGNED": "UBIGINT",
    "FLOAT": "DOUBLE",  # a cell is the shortest text of its value: 0.1 would be another number as a FLOAT
    "REAL": "DOUBLE",
    "DOUBLE": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP_NTZ": "TIMESTAMP",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "BINARY": "BLOB",
    "VARBINARY": "BLOB",
    "BLOB": "BLOB",
    "TINYBLOB": "BLOB",
    "MEDIUMBLOB": "BLOB",
    "LONGBLOB": "BLOB",
}
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\((\d+)(?:, ?(\d+))?\)")
_PRECISION = re.compile(r"\(\d+\)")


def parquet_type(name: str) -> str:
    """DuckDB's name of the type that the column is to have; whether its cells can is seen when they are read."""
    plain = name.strip().upper()
    if decimal := _DECIMAL.fullmatch(plain):
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        return f"DECIMAL({precision},{scale})" if max(scale, 1) <= precision <= _WIDEST_DECIMAL else TEXT
    return _TYPES.get(_PRECISION.sub("", plain), TEXT)  # timestamp(3) with time zone, tinyint(4)


_INTEGER = r"-?(0|[1-9]\d*)"
_MOMENT = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?"
# What a cell must look like to keep its meaning: DuckDB's own casts also take 1.5 or 0x10 for an integer.
_SHAPES: Mapping[str, str] = {
    "BOOLEAN": "true|false",
    "DOUBLE": r"-?\d+(\.\d+)?([eE][+-]?\d+)?|nan|NaN|-?inf|-?Infinity",
    "DATE": r"\d{4}-\d\d-\d\d",
    "TIMESTAMP": _MOMENT,
    "TIMESTAMPTZ": _MOMENT + r"( ?UTC|Z|[+-]\d\d(:?\d\d)?)",
    "BLOB": r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
}


def castable(cell: str, kind: str) -> tuple[str, str]:
    """Whether a cell's text can be of the type, and its value as that, as SQL; NULL is NULL in both."""
    if kind == TEXT:
        return "true", cell
    value = f"from_base64({cell})" if kind == "BLOB" else f"TRY_CAST({cell} AS {kind})"
    shape = f"regexp_full_match({cell}, '{_shape(kind)}')"
    return (shape if kind == "BLOB" else f"{shape} AND {value} IS NOT NULL OR {cell} IS NULL"), value


def cell_text(name: str, kind: str) -> str:
    """The text of a cell as app.domain.csv_format has it, as SQL."""
    if kind.startswith("TIMESTAMP"):
        zoned = kind == "TIMESTAMP WITH TIME ZONE"
        moment = f"({name} AT TIME ZONE 'UTC')" if zoned else name
        written = f"strftime({moment}, '%Y-%m-%d %H:%M:%S')"
        fraction = f"CASE WHEN epoch_us({moment}) % 1000000 = 0 THEN '' ELSE strftime({moment}, '.%f') END"
        if kind == "TIMESTAMP_NS":  # of other writers' files: the last three digits count as well
            fraction = f"CASE WHEN epoch_ns({name}) % 1000 = 0 THEN {fraction} ELSE strftime({name}, '.%n') END"
        return f"{written} || {fraction}" + (" || '+00:00'" if zoned else "")
    if kind == "BLOB":
        return f"to_base64({name})"
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(")):
        return f"CAST(to_json({name}) AS {TEXT})"
    return f"CAST({name} AS {TEXT})"


def _shape(kind: str) -> str:
    if decimal := _DECIMAL.fullmatch(kind):
        return rf"-?\d+(\.\d{{0,{decimal[2]}}})?"
    return _SHAPES.get(kind, _INTEGER)
