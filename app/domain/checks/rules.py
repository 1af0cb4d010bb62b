"""The kinds of checks with arguments of their own types; what makes no sense is refused here, at the door.

What NULL means: NOT_NULL is the one kind that fails it. A NULL is no duplicate, is in every range, is accepted, and
matches; the empty string is a value like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from app.domain.checks.arguments import Arguments, checked_label
from app.domain.checks.checks import DataCheck, DataCheckKind
from app.domain.errors import InvalidError, TooLargeError

MAX_CHECKS = 100  # of a task
MAX_CHARACTERS = 100_000  # of all checks of a task: every run keeps a copy

Number: TypeAlias = int | float


@dataclass(frozen=True, kw_only=True, slots=True)
class NotNull:
    """No row has NULL in the column."""

    column: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unique:
    """No two rows have the same texts in the columns; a row with a NULL among them is like no other, as in SQL."""

    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedValues:
    """Every text in the column is one of these, to the letter."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberRange:
    """Every value is a number between the two, both included; NaN is no number."""

    column: str
    low: Number | None
    high: Number | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentRange:
    """Every value is a date or timestamp between the two, both included; one without an offset is in UTC."""

    column: str
    low: datetime | None
    high: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """Every text in the column matches the pattern from its first character to its last."""

    column: str
    pattern: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RowCount:
    """The rows of the output, in themselves and against the task's last successful run."""

    low: int | None
    high: int | None
    max_change_percent: Number | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """The newest timestamp of the column is at most so much older than the output; what is no timestamp is no news."""

    column: str
    max_age: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Sql:
    """A query over the table `output` finds no rows: each that it gives is a failing one."""

    query: str


Rule: TypeAlias = NotNull | Unique | AcceptedValues | NumberRange | MomentRange | Matches | RowCount | Freshness | Sql


def rules_of(checks: Sequence[DataCheck]) -> list[Rule]:
    """Raises: InvalidError, TooLargeError, with paths below `checks`."""
    if len(checks) > MAX_CHECKS:
        raise TooLargeError(f"A task has at most {MAX_CHECKS} checks; these are {len(checks)}.", path=("checks",))
    rules = [rule_of(check, path=("checks", str(index))) for index, check in enumerate(checks)]
    if (length := sum(len(str(check.to_document())) for check in checks)) > MAX_CHARACTERS:
        raise TooLargeError(
            f"The checks of a task have at most {MAX_CHARACTERS} characters together; these have {length}.",
            path=("checks",),
        )
    return rules


def rule_of(check: DataCheck, *, path: tuple[str, ...] = ()) -> Rule:
    """Raises: InvalidError, TooLargeError, with a path below `path`."""
    arguments = Arguments(check.arguments, path=(*path, "arguments"))
    rule = _rule(check, arguments, path=path)
    arguments.refuse_others()
    return rule


def columns_of(rule: Rule) -> tuple[str, ...]:
    match rule:
        case Unique(columns=columns):
            return columns
        case RowCount() | Sql():
            return ()
        case _:
            return (rule.column,)


def _rule(check: DataCheck, arguments: Arguments, *, path: tuple[str, ...]) -> Rule:  # noqa: PLR0911 - one line a kind reads best
    match check.kind:
        case DataCheckKind.NOT_NULL:
            return NotNull(column=_column(check, path=path))
        case DataCheckKind.UNIQUE:
            return _unique(check, arguments, path=path)
        case DataCheckKind.ACCEPTED_VALUES:
            return AcceptedValues(column=_column(check, path=path), values=arguments.texts("values"))
        case DataCheckKind.RANGE:
            return _range(_column(check, path=path), arguments)
        case DataCheckKind.MATCHES:
            return Matches(column=_column(check, path=path), pattern=arguments.text("pattern"))
        case DataCheckKind.ROW_COUNT:
            _refuse_column(check, path=path)
            return _row_count(arguments)
        case DataCheckKind.FRESHNESS:
            return Freshness(column=_column(check, path=path), max_age=arguments.duration("maxAge"))
        case DataCheckKind.SQL:
            _refuse_column(check, path=path)
            return Sql(query=arguments.text("query"))


def _unique(check: DataCheck, arguments: Arguments, *, path: tuple[str, ...]) -> Unique:
    if "columns" not in arguments:
        return Unique(columns=(_column(check, path=path),))
    if check.column is not None:
        raise InvalidError(
            "Name one column in `column`, or several in the argument `columns`; not both.", path=(*path, "column")
        )
    return Unique(columns=arguments.names("columns"))


def _range(column: str, arguments: Arguments) -> NumberRange | MomentRange:
    low, high = arguments.bound("min"), arguments.bound("max")
    arguments.want_one_of("min", "max")
    if isinstance(low, datetime) or isinstance(high, datetime):
        if not isinstance(low, datetime | None) or not isinstance(high, datetime | None):
            arguments.refuse("max", "is a number like `min`, or both are dates or timestamps")
        arguments.refuse_crossed("min", low, "max", high)
        return MomentRange(column=column, low=low, high=high)
    arguments.refuse_crossed("min", low, "max", high)
    return NumberRange(column=column, low=low, high=high)


def _row_count(arguments: Arguments) -> RowCount:
    low, high = arguments.count("min"), arguments.count("max")
    change = arguments.share("maxChangePercent")
    arguments.want_one_of("min", "max", "maxChangePercent")
    arguments.refuse_crossed("min", low, "max", high)
    return RowCount(low=low, high=high, max_change_percent=change)


def _column(check: DataCheck, *, path: tuple[str, ...]) -> str:
    if check.column is None:
        raise InvalidError(f"A check of the kind {check.kind} is about a column: name it.", path=(*path, "column"))
    return checked_label(check.column, path=(*path, "column"))


def _refuse_column(check: DataCheck, *, path: tuple[str, ...]) -> None:
    if check.column is not None:
        raise InvalidError(
            f"A check of the kind {check.kind} is about the whole output; leave `column` out.", path=(*path, "column")
        )
