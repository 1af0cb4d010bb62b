"""Checks at the door: each kind's arguments get their types, and what makes no sense is refused at its place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.checks.checks import CheckSeverity, DataCheck, DataCheckKind, checks_of
from app.domain.checks.rules import (
    AcceptedValues,
    Freshness,
    Matches,
    MomentRange,
    NotNull,
    NumberRange,
    RowCount,
    Rule,
    Sql,
    Unique,
    rules_of,
)
from app.domain.errors import InvalidError, TooLargeError


def check(kind: str, column: str | None = None, **arguments: Any) -> DataCheck:
    return DataCheck(kind=DataCheckKind(kind), column=column, arguments=arguments, severity=CheckSeverity.ERROR)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (check("NOT_NULL", "city"), NotNull(column="city")),
        (check("UNIQUE", "count(*)"), Unique(columns=("count(*)",))),
        (check("UNIQUE", columns=["day", "city"]), Unique(columns=("day", "city"))),
        (check("ACCEPTED_VALUES", "x", values=["", 1, True]), AcceptedValues(column="x", values=("", "1", "true"))),
        (check("RANGE", "x", min=0), NumberRange(column="x", low=0, high=None)),
        (check("RANGE", "x", min=None, max=1.5), NumberRange(column="x", low=None, high=1.5)),
        (check("RANGE", "x", min=1, max=1), NumberRange(column="x", low=1, high=1)),
        (
            check("RANGE", "x", min="2026-01-05", max="2026-01-06T09:30:00+01:00"),
            MomentRange(
                column="x",
                low=datetime(2026, 1, 5, tzinfo=UTC),
                high=datetime(2026, 1, 6, 8, 30, tzinfo=UTC),
            ),
        ),
        (check("MATCHES", "x", pattern=r"\d+"), Matches(column="x", pattern=r"\d+")),
        (check("ROW_COUNT", min=1), RowCount(low=1, high=None, max_change_percent=None)),
        (check("ROW_COUNT", maxChangePercent=12.5), RowCount(low=None, high=None, max_change_percent=12.5)),
        (check("FRESHNESS", "at", maxAge="P1DT6H"), Freshness(column="at", max_age=timedelta(hours=30))),
        (check("FRESHNESS", "at", maxAge="PT0.5S"), Freshness(column="at", max_age=timedelta(milliseconds=500))),
        (check("SQL", query="SELECT 1"), Sql(query="SELECT 1")),
    ],
)  # fmt: skip
def test_arguments_get_the_types_of_their_kind(given: DataCheck, rule: Rule) -> None:
    assert rules_of([given]) == [rule]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (check("NOT_NULL"), "column"),
        (check("NOT_NULL", "x", min=1), "arguments.min"),
        (check("NOT_NULL", " "), "column"),
        (check("NOT_NULL", "a\nb"), "column"),
        (check("NOT_NULL", "x" * 301), "column"),
        (check("UNIQUE"), "column"),
        (check("UNIQUE", "x", columns=["a", "b"]), "column"),
        (check("UNIQUE", columns=["a"]), "arguments.columns"),
        (check("UNIQUE", columns=["a", "a"]), "arguments.columns"),
        (check("UNIQUE", columns=["a", 1]), "arguments.columns.1"),
        (check("ACCEPTED_VALUES", "x"), "arguments.values"),
        (check("ACCEPTED_VALUES", "x", values=[]), "arguments.values"),
        (check("ACCEPTED_VALUES", "x", values="a"), "arguments.values"),
        (check("ACCEPTED_VALUES", "x", values=["a", None]), "arguments.values.1"),
        (check("ACCEPTED_VALUES", "x", values=[1.5]), "arguments.values.0"),
        (check("RANGE", "x"), "arguments"),
        (check("RANGE", "x", min=2, max=1), "arguments.min"),
        (check("RANGE", "x", min="2026-01-06", max="2026-01-05"), "arguments.min"),
        (check("RANGE", "x", min=1, max="2026-01-05"), "arguments.max"),
        (check("RANGE", "x", min="yesterday"), "arguments.min"),
        (check("RANGE", "x", min=True), "arguments.min"),
        (check("RANGE", "x", min=float("nan")), "arguments.min"),
        (check("RANGE", "x", max=2**64), "arguments.max"),
        (check("RANGE", "x", max=[]), "arguments.max"),
        (check("RANGE", "x", minimum=1, min=1), "arguments.minimum"),
        (check("MATCHES", "x"), "arguments.pattern"),
        (check("MATCHES", "x", pattern=""), "arguments.pattern"),
        (check("MATCHES", "x", pattern="a\0"), "arguments.pattern"),
        (check("MATCHES", "x", pattern=7), "arguments.pattern"),
        (check("ROW_COUNT", "x", min=1), "column"),
        (check("ROW_COUNT"), "arguments"),
        (check("ROW_COUNT", min=-1), "arguments.min"),
        (check("ROW_COUNT", min=1.0), "arguments.min"),
        (check("ROW_COUNT", min=2, max=1), "arguments.min"),
        (check("ROW_COUNT", maxChangePercent=-1), "arguments.maxChangePercent"),
        (check("FRESHNESS", "at"), "arguments.maxAge"),
        (check("FRESHNESS", "at", maxAge=60), "arguments.maxAge"),
        *((check("FRESHNESS", "x", maxAge=text), "arguments.maxAge") for text in ("P", "PT", "P1DT", "P1M", "PT0S")),
        (check("FRESHNESS", "at", maxAge="P999999999W"), "arguments.maxAge"),
        (check("SQL", "x", query="SELECT 1"), "column"),
        (check("SQL"), "arguments.query"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_its_place(given: DataCheck, path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        rules_of([check("NOT_NULL", "fine"), given])
    assert ".".join(caught.value.path) == f"checks.1.{path}"


@pytest.mark.parametrize("given", [[], "text", 5])
def test_arguments_are_an_object(given: Any) -> None:
    odd = DataCheck(kind=DataCheckKind.NOT_NULL, column="x", arguments=given, severity=CheckSeverity.WARN)
    with pytest.raises(InvalidError) as caught:
        rules_of([odd])
    assert caught.value.path == ("checks", "0", "arguments")


def test_checks_are_bounded_in_number_and_in_size() -> None:
    with pytest.raises(TooLargeError):
        rules_of([check("NOT_NULL", "x")] * 101)
    with pytest.raises(TooLargeError) as caught:
        rules_of([check("ACCEPTED_VALUES", "x", values=["v"] * 1001)])
    assert caught.value.path == ("checks", "0", "arguments", "values")
    with pytest.raises(TooLargeError) as caught:
        rules_of([check("ACCEPTED_VALUES", "x", values=["v" * 1000] * 101)])
    assert caught.value.path == ("checks",)


def test_checks_come_back_from_their_documents() -> None:
    given = (check("RANGE", "x", min=1, max=2.5), check("SQL", query="SELECT 1"))
    assert checks_of([each.to_document() for each in given]) == given
    assert checks_of(None) == ()
