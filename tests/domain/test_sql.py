"""The output columns of a text, found by reading it; what cannot be read is said, never raised."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.sql import MAX_CHARACTERS, query_fields
from app.domain.tasks import TaskType

SQL = [type_ for type_ in TaskType if type_ is not TaskType.PYSPARK]


@pytest.mark.parametrize(
    ("type_", "query", "columns"),
    [
        (TaskType.MYSQL, "SELECT a, b AS k, c + 1 FROM t", [("a", "a"), ("k", "b"), ("c + 1", "c + 1")]),
        (TaskType.HIVE, "SELECT x FROM t LATERAL VIEW explode(xs) e AS x", [("x", "x")]),
        (TaskType.PRESTO, 'SELECT approx_percentile(d, 0.5) AS "der Median" FROM t', None),
        (TaskType.SPARK_SQL, "WITH q AS (SELECT 1 AS one) SELECT one FROM q", [("one", "one")]),
        (TaskType.MYSQL, "SELECT a FROM t UNION ALL SELECT b FROM u", [("a", "a")]),
        (TaskType.MYSQL, "SET x = 1; SELECT 1 AS first; SELECT 2 AS last; DROP TABLE t", [("last", "2")]),
        (TaskType.MYSQL, "(SELECT a)", [("a", "a")]),
    ],
)
def test_the_columns_of_the_last_query_are_found(
    type_: TaskType, query: str, columns: list[tuple[str, str]] | None
) -> None:
    fields = query_fields(type_, query)
    assert fields.complete
    assert fields.problem is None
    if columns is None:
        assert [field.name for field in fields.columns] == ["der Median"]
    else:
        assert [(field.name, field.expression) for field in fields.columns] == columns


@pytest.mark.parametrize("query", ["SELECT *, 1 AS one FROM t", "SELECT t.*, 1 AS one FROM t"])
def test_a_star_hides_columns_and_the_others_are_told(query: str) -> None:
    fields = query_fields(TaskType.HIVE, query)
    assert [field.name for field in fields.columns] == ["one"]
    assert not fields.complete
    assert fields.problem is not None
    assert "`*`" in fields.problem


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT case", "Line 1, column 11"),
        ("SELECT 1,\n  FROM WHERE", "Line 2, column"),
        ("SELECT 'unfinished", "cannot be read"),
        ("DROP TABLE t", "no SELECT"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
        ("SELECT", "no columns"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(query: str, problem: str) -> None:
    fields = query_fields(TaskType.MYSQL, query)
    assert not fields.complete
    assert fields.problem is not None
    assert problem in fields.problem


@pytest.mark.parametrize(
    ("opening", "closing"), [("f(", ")"), ("a.", "b"), ("CASE WHEN 1 THEN ", " END"), ("(SELECT ", ")")]
)
def test_no_depth_of_nesting_raises(opening: str, closing: str) -> None:
    for depth in range(20, 400, 33):
        query_fields(TaskType.SPARK_SQL, f"SELECT {opening * depth}1{closing * depth}")


def test_a_script_tells_its_columns_only_by_running() -> None:
    fields = query_fields(TaskType.PYSPARK, "df = spark.sql('SELECT 1')")
    assert not fields.complete
    assert not fields.columns


def test_a_text_too_long_to_be_read_in_passing_is_not_read() -> None:
    started = time.monotonic()
    fields = query_fields(TaskType.MYSQL, "SELECT " + "1+" * MAX_CHARACTERS + "1")
    assert time.monotonic() - started < 0.1
    assert fields.problem is not None
    assert "too long" in fields.problem


@given(
    type_=st.sampled_from(SQL),
    words=st.lists(
        st.sampled_from(
            ["SELECT", "FROM", "t", "(", ")", ",", "*", "'", '"', "`", "1", ".", ";", "AS", "--", "/*", "{{"]
        ),
        max_size=12,
    ),
)
def test_no_text_whatever_raises(type_: TaskType, words: list[str]) -> None:
    query_fields(type_, " ".join(words))
