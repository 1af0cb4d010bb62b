"""DuckDB's columns and cells as Presto's protocol has them in JSON."""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

_TYPES = {"HUGEINT": "decimal(38,0)", "BLOB": "varbinary", "FLOAT": "real"}
_NUMBERS = {"varchar": ["2147483647"], "timestamp": ["3"]}  # what the type has though its name does not say it


def column_of(name: str, type_: str) -> Mapping[str, Any]:
    words = _TYPES.get(type_, type_.lower())
    length = _NUMBERS.get(words) or re.findall(r"\d+", words)
    numbers = [{"kind": "LONG", "value": int(number)} for number in length]
    return {"name": name, "type": words, "typeSignature": {"rawType": words.partition("(")[0], "arguments": numbers}}


def plain(cell: Any) -> Any:
    """The cell as the protocol has it in JSON."""
    match cell:
        case Decimal() | date():
            return cell.isoformat(sep=" ", timespec="milliseconds") if isinstance(cell, datetime) else str(cell)
        case float() if not isfinite(cell):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(cell)]
        case bytes():
            return b64encode(cell).decode()
        case _:
            return cell
