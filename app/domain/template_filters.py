"""Filters of templates: moments in a zone and a format, shifted and rounded; texts as literals of a task's language."""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.domain.tasks import TaskType

MAX_AMOUNT = 1_000_000
FORMAT = re.compile(r"(?:%[YymdHMSfjaAbBpIzZGVuUWw]|[A-Za-z0-9_.:/+ -]){1,64}")
UNITS = ("year", "month", "week", "day", "hour", "minute")
BACKSLASHES = frozenset({TaskType.HIVE, TaskType.SPARK_SQL, TaskType.MYSQL})
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class Formatted(str):
    """A moment as text, of a format that was checked: it may hold spaces."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """A value that is to be written as a literal."""

    value: Any


def literal(value: Any, type: TaskType) -> str:
    """A string literal of the task's SQL, or a Python literal.

    Hive and Spark SQL read two quotes as the end of one literal and the start of another, so that the quote takes a
    backslash there; MySQL reads both, and with NO_BACKSLASH_ESCAPES only two quotes keep the text inside.
    """
    if type is TaskType.PYSPARK:
        return repr(value if isinstance(value, bool | int | float) else str(value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if type in BACKSLASHES:
        text = text.translate(ESCAPES)
    quote = "\\'" if type in {TaskType.HIVE, TaskType.SPARK_SQL} else "''"
    return "'" + text.replace("'", quote) + "'"


def _quote(value: Any) -> Quoted:
    if not isinstance(value, str | int | float | date):
        raise TypeError("quote wants a text, a number or a moment")
    return Quoted(value=str(value) if isinstance(value, str) else value)


def _date(value: Any, format: str = "%Y-%m-%d") -> Formatted:
    if FORMAT.fullmatch(str(format)) is None:
        raise ValueError("a format has codes such as %Y-%m-%d %H:%M:%S, letters, digits, spaces and _ - . : / +")
    return Formatted(_moment(value).strftime(format))


def _in_timezone(value: Any, name: str) -> datetime:
    moment = _moment(value)
    if not isinstance(moment, datetime):
        raise TypeError("in_timezone wants a moment, not a date")
    try:
        return moment.astimezone(ZoneInfo(str(name)))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{str(name)[:40]!r} is not a time zone; use a name such as Europe/Berlin") from error


def _plus(
    value: Any,
    *,
    years: int = 0,
    months: int = 0,
    weeks: int = 0,
    days: int = 0,
    hours: int = 0,
    minutes: int = 0,
    seconds: int = 0,
) -> date:
    moment = _moment(value)
    for amount in (years, months, weeks, days, hours, minutes, seconds):
        if not isinstance(amount, int) or abs(amount) > MAX_AMOUNT:
            raise ValueError(f"plus wants whole numbers of at most {MAX_AMOUNT}")
    if years or months:
        year, month = divmod(moment.year * 12 + moment.month - 1 + years * 12 + months, 12)
        if not date.min.year <= year <= date.max.year:
            raise OverflowError("that is no year of the calendar")
        moment = moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
    return moment + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _start_of(value: Any, unit: str) -> date:
    moment = _moment(value)
    if unit not in UNITS:
        raise ValueError(f"start_of knows {', '.join(UNITS)}")
    if unit == "week":
        moment -= timedelta(days=moment.weekday())
    month = 1 if unit == "year" else moment.month
    day = 1 if unit in {"year", "month"} else moment.day
    if not isinstance(moment, datetime):
        return moment.replace(month=month, day=day)
    hour = moment.hour if unit in {"hour", "minute"} else 0
    minute = moment.minute if unit == "minute" else 0
    return moment.replace(month=month, day=day, hour=hour, minute=minute, second=0, microsecond=0)


def _moment(value: Any) -> date:
    """A moment or date; a parameter's text may be one, by ISO 8601."""
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value) if len(value) <= len("2026-01-05") else datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value[:40]!r} is no date such as 2026-01-05, and no moment") from error
    raise TypeError("this is no moment and no date")


def _upper(value: Any) -> str:
    return _text(value).upper()


def _lower(value: Any) -> str:
    return _text(value).lower()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError("this is no text")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "date": _date,
    "in_timezone": _in_timezone,
    "plus": _plus,
    "start_of": _start_of,
    "upper": _upper,
    "lower": _lower,
    "quote": _quote,
}
