"""Reads the JSON arguments of one check: each by its name and type, refused by its path."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

from app.domain.errors import InvalidError, TooLargeError

MAX_TEXT = 10_000
MAX_LABEL = 300
MAX_VALUES = 1_000
MAX_COUNT = 2**63 - 1
_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?!$)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?"
)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # no engine and no database has these
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Value = TypeVar("Value")


class Arguments:
    """Those of one check; `path` leads to them. What was asked for is known; `refuse_others` refuses the rest."""

    def __init__(self, given: Any, *, path: tuple[str, ...]) -> None:
        self._path = path
        if not isinstance(given, Mapping):
            raise InvalidError("Arguments are an object of names and values, such as {}.", path=path)
        self._given = {name: value for name, value in given.items() if value is not None}
        self._known: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str) -> str:
        return self._required(name, lambda value: self._text(name, value, what="a text"))

    def texts(self, name: str) -> tuple[str, ...]:
        """Texts, numbers without a fraction, or booleans; as an output has them."""
        return self._required(
            name, lambda value: self._list(name, value, _as_text, "a text, a whole number or a boolean")
        )

    def names(self, name: str) -> tuple[str, ...]:
        """At least two labels of columns, no two the same."""
        labels = self._required(name, lambda value: self._list(name, value, _as_label, "the label of a column"))
        if len(labels) < 2 or len(set(labels)) < len(labels):  # noqa: PLR2004 - one goes into `column`
            self.refuse(name, "has two columns or more, each once")
        return labels

    def bound(self, name: str) -> int | float | datetime | None:
        value = self._optional(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                self.refuse(name, 'is a number, or a date or timestamp such as "2026-01-05" or "2026-01-05T09:30:00Z"')
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return None if value is None else self._number(name, value)

    def count(self, name: str) -> int | None:
        value = self._optional(name)
        if value is not None and (type(value) is not int or not 0 <= value <= MAX_COUNT):
            self.refuse(name, "is a whole number, 0 or more")
        return value

    def share(self, name: str) -> int | float | None:
        value = self._optional(name)
        number = None if value is None else self._number(name, value)
        if number is not None and number < 0:
            self.refuse(name, "is 0 or more")
        return number

    def duration(self, name: str) -> timedelta:
        """An ISO 8601 duration without years and months, which are of no certain length."""
        text = self.text(name)
        found = _DURATION.fullmatch(text)
        try:
            length = timedelta(
                **{unit: float(each) for unit, each in (found.groupdict() if found else {}).items() if each}
            )
        except OverflowError:
            length = timedelta()
        if not length:
            self.refuse(name, 'is a duration such as "PT6H", "P1D" or "P1DT12H", longer than nothing')
        return length

    def want_one_of(self, *names: str) -> None:
        if not any(name in self._given for name in names):
            words = ", ".join(f"`{name}`" for name in names)
            raise InvalidError(f"Give at least one of {words}.", path=self._path)

    def refuse_crossed(self, lower: str, low: Any, upper: str, high: Any) -> None:
        if low is not None and high is not None and low > high:
            self.refuse(lower, f"is at most `{upper}`: no value is between {low} and {high}")

    def refuse(self, name: str, what: str) -> NoReturn:
        raise InvalidError(f"`{name}` {what}.", path=(*self._path, name))

    def refuse_others(self) -> None:
        """Raises: InvalidError for an argument that nobody has asked for."""
        for name in self._given:
            if name not in self._known:
                known = ", ".join(self._known) or "none"
                raise InvalidError(
                    f"There is no argument {str(name)[:80]!r} for this kind of check; its arguments: {known}.",
                    path=(*self._path, str(name)[:80]),
                )

    def _optional(self, name: str) -> Any:
        self._known.append(name)
        return self._given.get(name)

    def _required(self, name: str, read: Callable[[Any], Value]) -> Value:
        value = self._optional(name)
        if value is None:
            self.refuse(name, "is wanted")
        return read(value)

    def _text(self, name: str, value: Any, *, what: str) -> str:
        if not isinstance(value, str) or not value.strip() or _NO_TEXT.search(value):
            self.refuse(name, f"is {what}, not empty, and without NUL characters")
        if len(value) > MAX_TEXT:
            raise TooLargeError(f"`{name}` has at most {MAX_TEXT} characters.", path=(*self._path, name))
        return value

    def _number(self, name: str, value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(name, "is a number")
        if isinstance(value, int) and abs(value) > MAX_COUNT:
            self.refuse(name, "has at most 64 bits")
        return value

    def _list(self, name: str, value: Any, read: Callable[[Any], str | None], what: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            self.refuse(name, "is a list with at least one value")
        if len(value) > MAX_VALUES:
            raise TooLargeError(f"`{name}` has at most {MAX_VALUES} values.", path=(*self._path, name))
        found = []
        for index, each in enumerate(value):
            if (text := read(each)) is None:
                raise InvalidError(f"A value of `{name}` is {what}.", path=(*self._path, name, str(index)))
            found.append(text)
        return tuple(found)


def checked_label(label: str, *, path: tuple[str, ...]) -> str:
    """A label as a query may give it: any words in one line. Raises: InvalidError."""
    if _as_label(label) is None:
        raise InvalidError(
            f"A column is named by its label in the output: 1 to {MAX_LABEL} characters, no line breaks and no "
            f"control characters.",
            path=path,
        )
    return label


def _as_label(value: Any) -> str | None:
    proper = isinstance(value, str) and 0 < len(value) <= MAX_LABEL and value.strip() and not _CONTROL.search(value)
    return value if proper else None


def _as_text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) <= MAX_COUNT:
            return str(value)
        case str() if len(value) <= MAX_TEXT and not _NO_TEXT.search(value):
            return value
        case _:
            return None
