"""Column labels and types of a MySQL result set, as the server names them."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.domain.outputs import OutputColumn

_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY_CHARSET = 63
_NUMBERS: Mapping[int, str] = {
    1: "TINYINT",
    2: "SMALLINT",
    3: "INT",
    4: "FLOAT",
    5: "DOUBLE",
    8: "BIGINT",
    9: "MEDIUMINT",
}
_OTHERS: Mapping[int, str] = {
    6: "NULL",
    7: "TIMESTAMP",
    10: "DATE",
    11: "TIME",
    12: "DATETIME",
    13: "YEAR",
    16: "BIT",
    245: "JSON",
    247: "ENUM",
    248: "SET",
    255: "GEOMETRY",
}
# By character set, text first: the protocol has one number for both.
_TEXTS: Mapping[int, tuple[str, str]] = {
    15: ("VARCHAR", "VARBINARY"),
    249: ("TINYTEXT", "TINYBLOB"),
    250: ("MEDIUMTEXT", "MEDIUMBLOB"),
    251: ("LONGTEXT", "LONGBLOB"),
    252: ("TEXT", "BLOB"),
    253: ("VARCHAR", "VARBINARY"),
    254: ("CHAR", "BINARY"),
}
_DECIMALS = {0, 246}


def output_columns(fields: Iterable[Any]) -> tuple[OutputColumn, ...]:
    """The columns of asyncmy's field descriptors."""
    return tuple(OutputColumn(name=field.name, type=_type_name(field)) for field in fields)


def _type_name(field: Any) -> str:
    code, unsigned = field.type_code, bool(field.flags & _UNSIGNED)
    if code in _DECIMALS:
        # The length is that of the text: with a sign and with a point where there are any.
        precision = field.length - (field.scale > 0) - (not unsigned)
        return f"DECIMAL({precision},{field.scale})"
    if code in _NUMBERS:
        return _NUMBERS[code] + (" UNSIGNED" if unsigned else "")
    if field.flags & _ENUM:
        return "ENUM"
    if field.flags & _SET:
        return "SET"
    if code in _TEXTS:
        return _TEXTS[code][field.charsetnr == _BINARY_CHARSET]
    return _OTHERS.get(code, f"TYPE_{code}")
