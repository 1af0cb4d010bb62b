r"""Hive's text of rows: fields parted by \001, their parts by \002 and on, NULL as \N, backslashes that escape."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import orjson

_NULL = b"\\N"
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r"}
_NUMBERS = frozenset({"tinyint", "smallint", "int", "bigint", "float", "double", "decimal"})
_OUTERMOST = 1  # the character that parts the fields of a row


class HiveText:
    """Reads rows of columns of these types, such as `string` and `array<struct<a:int>>`; containers become JSON."""

    def __init__(self, types: Sequence[str]) -> None:
        self._types = [type_.lower() if "<" not in type_ else type_ for type_ in types]

    def rows(self, text: bytes) -> list[Sequence[str | None]]:
        """The rows of whole lines."""
        return [self._row(line) for line in text.removesuffix(b"\n").split(b"\n")]

    def _row(self, line: bytes) -> list[str | None]:
        fields = _split(line, _OUTERMOST)
        return [self._cell(field, type_) for field, type_ in zip(fields, self._types, strict=False)]

    @staticmethod
    def _cell(field: bytes, type_: str) -> str | None:
        if field == _NULL:
            return None
        if "<" not in type_:
            return _text(field)
        return orjson.dumps(_value(field, type_, _OUTERMOST + 1), option=orjson.OPT_NON_STR_KEYS).decode()


def _value(field: bytes, type_: str, level: int) -> object:
    """A value inside a container; `level` is the character that would part what it contains."""
    if field == _NULL:
        return None
    name, inner = _parsed(type_)
    parts = _split(field, level) if field else []
    if name == "array":
        return [_value(part, inner[0][1], level + 1) for part in parts]
    if name == "map":
        pairs = [part if len(part) > 1 else [*part, _NULL] for part in (_split(part, level + 1) for part in parts)]
        return {_text(key): _value(value, inner[1][1], level + 2) for key, value in pairs}
    if name == "struct":
        return {label: _value(part, type_, level + 1) for (label, type_), part in zip(inner, parts, strict=False)}
    return _leaf(field, name)


def _leaf(field: bytes, name: str) -> object:
    if name == "boolean":
        return field == b"true"
    return orjson.Fragment(field) if name in _NUMBERS else _text(field)


def _split(text: bytes, level: int) -> list[bytes]:
    """The parts between the level's character, as far as it is not escaped."""
    character = bytes([level])
    if b"\\" not in text:
        return text.split(character)
    parts = [b""]
    for piece in text.split(character):
        parts[-1] += piece
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            parts[-1] += character  # it was escaped
        else:
            parts.append(b"")
    return parts[:-1] if len(parts) > 1 else parts


def _text(field: bytes) -> str:
    if b"\\" in field:
        field = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), field)
    return field.decode(errors="replace")


@lru_cache(maxsize=1000)
def _parsed(type_: str) -> tuple[str, list[tuple[str, str]]]:
    """The type's name, and the labels and types of what it contains."""
    name, _, inner = type_.strip().partition("<")
    parts = list(_parts(inner.removesuffix(">"))) if inner else []
    labelled = name.lower() == "struct"
    return name.partition("(")[0].lower(), [part.partition(":")[::2] if labelled else ("", part) for part in parts]


def _parts(inner: str) -> Iterator[str]:
    depth = start = 0
    for place, character in enumerate(inner):
        depth += (character in "<(") - (character in ">)")
        if character == "," and not depth:
            yield inner[start:place]
            start = place + 1
    yield inner[start:]
