"""What each rule of a check asks of an output, as aggregates in DuckDB's SQL: one pass answers them all."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from app.domain.checks.rules import (
    AcceptedValues,
    Freshness,
    Matches,
    MomentRange,
    NotNull,
    Number,
    NumberRange,
    RowCount,
    Rule,
    Sql,
    Unique,
)
from app.outputs.sql_text import literal

_EXAMPLE_CHARACTERS = 100
_DECIMAL = "DECIMAL(38, 12)"
_DECIMAL_PLACES, _DECIMAL_DIGITS = 12, 26
# Datetimes of Python; DuckDB also knows an `infinity`, and years that have six digits.
_MOMENTS = "TIMESTAMPTZ '0001-01-02 00:00:00+00' AND TIMESTAMPTZ '9999-12-30 00:00:00+00'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregates:
    """Expressions for how many rows fail, the text of one that does, and microseconds of the newest moment."""

    failing: str = "0"
    example: str = "NULL"
    newest: str = "NULL"


def aggregates_of(rule: Rule, cell: Callable[[str], str]) -> Aggregates:  # noqa: PLR0911 - one line a kind reads best
    """`cell` gives the expression for the text of a column; it is NULL where the value is."""
    match rule:
        case NotNull(column=column):
            return Aggregates(failing=f"count(*) FILTER (WHERE {cell(column)} IS NULL)")
        case Unique(columns=columns):
            return _surplus([cell(column) for column in columns])
        case AcceptedValues(column=column, values=values):
            return _failing(cell(column), f"{cell(column)} NOT IN ({', '.join(map(literal, values))})")
        case NumberRange(column=column):
            return _failing(cell(column), _no_number_within(rule, cell(column)))
        case MomentRange(column=column, low=low, high=high):
            value = _moment_of(cell(column))
            beyond = _beyond(value, None if low is None else _moment(low), None if high is None else _moment(high))
            return _failing(cell(column), f"{value} IS NULL{beyond}")
        case Matches(column=column, pattern=pattern):
            return _failing(cell(column), f"NOT regexp_full_match({cell(column)}, {literal(pattern)})")
        case Freshness(column=column):
            return Aggregates(newest=f"epoch_us(max({_moment_of(cell(column))}))")
        case RowCount() | Sql():
            return Aggregates()


def _failing(cell: str, condition: str) -> Aggregates:
    """A NULL fails nothing."""
    where = f"FILTER (WHERE {cell} IS NOT NULL AND ({condition}))"
    return Aggregates(failing=f"count(*) {where}", example=f"left(min({cell}) {where}, {_EXAMPLE_CHARACTERS})")


def _surplus(cells: list[str]) -> Aggregates:
    """Of rows that are alike all but one.

    Digests of 128 bits are counted, which take so much room that DuckDB can spill them: among a billion rows the odds
    that two are alike by chance are one to 10^20.
    """
    # Texts are told apart by their lengths, and || gives NULL for NULL.
    lengths = [f"length({cell}) || ':'" for cell in cells[:-1]]
    key = f"md5_number({' || '.join([*lengths, *cells])})"
    return Aggregates(failing=f"count({key}) - count(DISTINCT {key})")


def _no_number_within(rule: NumberRange, cell: str) -> str:
    """Compared as DOUBLE, which has every size, and as DECIMAL, which has every digit: neither calls 5 less than 5."""
    value = f"TRY_CAST({cell} AS DOUBLE)"
    low, high = (None if bound is None else f"{literal(repr(bound))}::DOUBLE" for bound in (rule.low, rule.high))
    exact = f"TRY_CAST({cell} AS {_DECIMAL})"
    exact_low, exact_high = (_decimal(bound) for bound in (rule.low, rule.high))
    return (
        f"{value} IS NULL OR isnan({value}){_beyond(value, low, high)}"
        f"{_beyond(f'coalesce({exact} ', exact_low, exact_high, end=', false)')}"
    )


def _beyond(value: str, low: str | None, high: str | None, *, end: str = "") -> str:
    below = "" if low is None else f" OR {value} < {low}{end}"
    return below if high is None else f"{below} OR {value} > {high}{end}"


def _decimal(bound: Number | None) -> str | None:
    """None where the bound has more digits than the type."""
    if bound is None:
        return None
    exact = Decimal(repr(bound))
    exponent = exact.as_tuple().exponent
    fits = isinstance(exponent, int) and -exponent <= _DECIMAL_PLACES and exact.adjusted() < _DECIMAL_DIGITS
    return f"{literal(format(exact, 'f'))}::{_DECIMAL}" if fits else None


def _moment_of(cell: str) -> str:
    value = f"TRY_CAST({cell} AS TIMESTAMPTZ)"
    return f"CASE WHEN {value} BETWEEN {_MOMENTS} THEN {value} END"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat(sep=' '))}"
