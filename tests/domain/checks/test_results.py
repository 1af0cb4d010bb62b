"""What is said of a measured output: the bounds of ROW_COUNT and FRESHNESS, and the words of all kinds."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.checks.checks import CheckSeverity, DataCheck
from app.domain.checks.results import CheckResult, Measure, Rows, failed, failure_message, judge
from app.domain.checks.rules import rule_of
from tests.domain.checks.test_rules import check

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def judged(
    given: DataCheck, measure: Measure | None = None, *, count: int = 120, before: int | None = None
) -> CheckResult:
    return judge(given, rule_of(given), measure or Measure(), rows=Rows(count=count, before=before), at=AT)


@pytest.mark.parametrize(
    ("given", "measure", "words"),
    [
        (check("NOT_NULL", "city"), Measure(failing=3), "3 of 120 rows have no value in «city»."),
        (check("UNIQUE", columns=["a", "b"]), Measure(failing=1), "1 of 120 rows repeat another's «a», «b»."),
        (
            check("ACCEPTED_VALUES", "city", values=["x"]),
            Measure(failing=1, example="y" * 100),
            f"1 of 120 rows have none of the accepted values in «city», such as «{'y' * 59}…».",
        ),
        (
            check("RANGE", "n", min=0, max=9),
            Measure(failing=2, example="-1"),
            "2 of 120 rows have no number between 0 and 9 in «n», such as «-1».",
        ),
        (
            check("RANGE", "n", min="2026-01-05"),
            Measure(failing=2),
            "2 of 120 rows have no date or timestamp at or above 2026-01-05 00:00:00 UTC in «n».",
        ),
        (check("MATCHES", "n", pattern="x"), Measure(failing=2), "2 of 120 rows do not match in «n»."),
        (check("SQL", query="q"), Measure(failing=1200), "1,200 rows were found by the query."),
    ],
)
def test_rows_that_fail_are_counted_in_words(given: DataCheck, measure: Measure, words: str) -> None:
    result = judged(given, measure)
    assert (result.passed, result.failing_row_count, result.message) == (False, measure.failing, words)
    passing = judged(given)
    assert (passing.passed, passing.failing_row_count) == (True, 0)


@pytest.mark.parametrize(
    ("arguments", "count", "before", "passed"),
    [
        ({"min": 120}, 120, None, True),
        ({"min": 121}, 120, None, False),
        ({"max": 120}, 120, None, True),
        ({"max": 119}, 120, None, False),
        ({"min": 0}, 0, None, True),
        ({"maxChangePercent": 10}, 120, None, True),
        ({"maxChangePercent": 10}, 110, 100, True),
        ({"maxChangePercent": 10}, 111, 100, False),
        ({"maxChangePercent": 10}, 90, 100, True),
        ({"maxChangePercent": 10}, 89, 100, False),
        ({"maxChangePercent": 0}, 100, 100, True),
        ({"maxChangePercent": 100}, 0, 0, True),
        ({"maxChangePercent": 100}, 1, 0, False),
        ({"min": 200, "maxChangePercent": 10}, 100, 100, False),
    ],
)
def test_the_number_of_rows_is_held_to_its_bounds_and_to_the_last_run(
    arguments: dict[str, int], count: int, before: int | None, passed: bool
) -> None:
    result = judged(check("ROW_COUNT", **arguments), count=count, before=before)
    assert (result.passed, result.failing_row_count) == (passed, 0)


def test_a_change_of_the_number_of_rows_is_told_in_words() -> None:
    result = judged(check("ROW_COUNT", maxChangePercent=12.5), count=1, before=2_000)
    assert result.message == "There is 1 row, 2,000 rows in the last successful run; it may change by 12.5 %."


@pytest.mark.parametrize(("age", "passed"), [(-60, True), (0, True), (3600, True), (3601, False)])
def test_what_is_as_old_as_it_may_be_is_fresh(age: int, passed: bool) -> None:
    result = judged(check("FRESHNESS", "at", maxAge="PT1H"), Measure(newest=AT - timedelta(seconds=age)))
    assert (result.passed, result.failing_row_count) == (passed, 0)


def test_age_is_told_in_words_and_nothing_new_is_stale() -> None:
    given = check("FRESHNESS", "at", maxAge="P1D")
    assert judged(given, Measure(newest=AT - timedelta(hours=50, minutes=5))).message == (
        "The newest of «at» is 2026-01-03 09:55:00 UTC, 2 d 2 h before the output; 1 d is allowed."
    )
    assert judged(given).message == "There is no date or timestamp in «at»."
    assert not judged(given).passed


def test_a_check_that_cannot_be_run_has_failed() -> None:
    result = judged(check("NOT_NULL", "city"), Measure(problem="The output has no column «city»."))
    assert not result.passed
    assert result.failing_row_count == 0
    assert result.message == "The check could not be run. The output has no column «city»."


def test_only_errors_fail_a_task_and_the_first_of_them_are_named() -> None:
    def result(number: int, *, passed: bool = False, severity: CheckSeverity = CheckSeverity.ERROR) -> CheckResult:
        given = DataCheck(kind=check("NOT_NULL").kind, column="x", arguments={}, severity=severity)
        return CheckResult(check=given, passed=passed, failing_row_count=0, message=f"Message {number}.")

    harmless = [result(0, passed=True), result(1, severity=CheckSeverity.WARN)]
    assert failed(harmless) == []
    assert failure_message([*harmless, result(2)]) == "A check of the output failed: Message 2."
    assert failure_message([*harmless, *map(result, range(2, 7))]) == (
        "5 checks of the output failed: Message 2. Message 3. Message 4. And 2 more."
    )
