"""Durations as people write them (`30s`, `500ms`, `1h30m`, `5 minutes`), timedelta inside."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

_MILLISECONDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "second", "seconds"), 1_000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
}
_PART = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]+)", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises: ValueError where it is none."""
    milliseconds = 0.0
    position = 0
    while match := _PART.match(text, position):
        factor = _MILLISECONDS.get(match[2].lower())
        if factor is None:
            raise ValueError(f"{match[2]!r} is no unit of time")
        milliseconds += float(match[1]) * factor
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError("this is no number with a unit of time")
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError("this is too long") from None


def duration_text(duration: timedelta) -> str:
    """The shortest way to write a duration that reads back as the same: `30s`, `1h30m`."""
    rest = round(duration / timedelta(milliseconds=1))
    text = ""
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, rest = divmod(rest, factor)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _read(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("wrong_kind", "the unit is missing: write {value}s or {value}ms", {"value": value})
    if not isinstance(value, str):
        raise PydanticCustomError("wrong_kind", "this is no duration")
    return parse_duration(value)


Duration = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(duration_text, when_used="json")]
