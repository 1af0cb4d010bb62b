"""What was measured of an output, and what a check says to it, in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.checks.checks import CheckSeverity, DataCheck
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

MAX_MESSAGE = 500
MAX_EXAMPLE = 60
NAMED = 3  # failed checks that an attempt's error names


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What the output came to by one rule. A `problem` says why nothing could be measured."""

    failing: int = 0
    example: str | None = None  # the text of a cell that fails
    newest: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """How many rows the output has, and how many the task's last successful one had."""

    count: int
    before: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """`failing_row_count` is 0 where a check is not about single rows, or nothing could be measured."""

    check: DataCheck
    passed: bool
    failing_row_count: int
    message: str

    def to_document(self) -> dict[str, Any]:
        """Without the check: results stand in the order of the snapshot's checks."""
        return {"passed": self.passed, "failing_row_count": self.failing_row_count, "message": self.message}


def results_of(checks: Sequence[DataCheck], documents: Iterable[Mapping[str, Any]] | None) -> tuple[CheckResult, ...]:
    """The results of a task run beside the checks of its snapshot; none before it was checked."""
    return tuple(CheckResult(check=check, **each) for check, each in zip(checks, documents or (), strict=False))


def judge(check: DataCheck, rule: Rule, measure: Measure, *, rows: Rows, at: datetime) -> CheckResult:
    """`at` is when the output was there."""
    if measure.problem is not None:
        return _result(check, f"The check could not be run. {measure.problem}")
    match rule:
        case RowCount():
            return _judge_row_count(check, rule, rows)
        case Freshness():
            return _judge_freshness(check, rule, measure.newest, at=at)
        case _:
            what = _failing_words(rule)
            counted = f"{_many(measure.failing)} of {_rows(rows.count)}"
            if isinstance(rule, Sql):
                counted = _rows(measure.failing)
            example = "" if measure.example is None else f", such as «{_shortened(measure.example, MAX_EXAMPLE)}»"
            message = f"{counted} {what}{example}." if measure.failing else f"{_passing_words(rule)}."
            return _result(check, message, passed=not measure.failing, failing=measure.failing)


def failed(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Those that fail the task."""
    return [each for each in results if not each.passed and each.check.severity is CheckSeverity.ERROR]


def failure_message(results: Sequence[CheckResult]) -> str:
    """Why the task has failed."""
    those = failed(results)
    more = f" And {len(those) - NAMED} more." if len(those) > NAMED else ""
    counted = "A check of the output failed" if len(those) == 1 else f"{len(those)} checks of the output failed"
    return f"{counted}: {' '.join(each.message for each in those[:NAMED])}{more}"


def _judge_row_count(check: DataCheck, rule: RowCount, rows: Rows) -> CheckResult:
    count = rows.count
    there = f"There {'is' if count == 1 else 'are'} {_rows(count)}"
    if rule.low is not None and count < rule.low:
        return _result(check, f"{there}; at least {_many(rule.low)} are wanted.")
    if rule.high is not None and count > rule.high:
        return _result(check, f"{there}; at most {_many(rule.high)} are wanted.")
    if rule.max_change_percent is None:
        return _result(check, f"{there}.", passed=True)
    if rows.before is None:
        return _result(check, f"{there}; no earlier run of the task has succeeded to compare with.", passed=True)
    change = abs(count - rows.before)
    message = f"{there}, {_rows(rows.before)} in the last successful run"
    if change * 100 > rule.max_change_percent * rows.before:
        return _result(check, f"{message}; it may change by {rule.max_change_percent:g} %.")
    return _result(check, f"{message}.", passed=True)


def _judge_freshness(check: DataCheck, rule: Freshness, newest: datetime | None, *, at: datetime) -> CheckResult:
    if newest is None:
        return _result(check, f"There is no date or timestamp in «{rule.column}».")
    age = at - newest
    message = f"The newest of «{rule.column}» is {_moment(newest)}"
    if age > rule.max_age:
        return _result(check, f"{message}, {_length(age)} before the output; {_length(rule.max_age)} is allowed.")
    return _result(check, f"{message}.", passed=True)


def _failing_words(rule: Rule) -> str:  # noqa: PLR0911 - one line a kind reads best
    match rule:
        case NotNull(column=column):
            return f"have no value in «{column}»"
        case Unique(columns=columns):
            return f"repeat another's {_labels(columns)}"
        case AcceptedValues(column=column):
            return f"have none of the accepted values in «{column}»"
        case NumberRange(column=column, low=low, high=high):
            return f"have no number {_between(low, high)} in «{column}»"
        case MomentRange(column=column, low=low, high=high):
            return f"have no date or timestamp {_between(low, high)} in «{column}»"
        case Matches(column=column):
            return f"do not match in «{column}»"
        case _:
            return "were found by the query"


def _passing_words(rule: Rule) -> str:
    match rule:
        case NotNull(column=column):
            return f"Every row has a value in «{column}»"
        case Unique(columns=columns):
            return f"No two rows have the same {_labels(columns)}"
        case AcceptedValues(column=column):
            return f"All values in «{column}» are accepted ones"
        case NumberRange(column=column, low=low, high=high) | MomentRange(column=column, low=low, high=high):
            return f"All values in «{column}» are {_between(low, high)}"
        case Matches(column=column):
            return f"All values in «{column}» match"
        case _:
            return "The query found no rows"


def _result(check: DataCheck, message: str, *, passed: bool = False, failing: int = 0) -> CheckResult:
    return CheckResult(check=check, passed=passed, failing_row_count=failing, message=_shortened(message, MAX_MESSAGE))


def _between(low: Number | datetime | None, high: Number | datetime | None) -> str:
    if high is None:
        return f"at or above {_bound(low)}"
    return f"at or below {_bound(high)}" if low is None else f"between {_bound(low)} and {_bound(high)}"


def _bound(value: Number | datetime | None) -> str:
    return _moment(value) if isinstance(value, datetime) else str(value)


def _labels(columns: Sequence[str]) -> str:
    return ", ".join(f"«{column}»" for column in columns)


def _many(count: int) -> str:
    return f"{count:,}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _length(length: timedelta) -> str:
    hours, rest = divmod(round(length.total_seconds()), 3600)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s"))
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2]) or "0 s"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
