"""The output columns of a text, found by reading it; what cannot be read is said, never raised."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.fields import query_fields, tables_behind_stars
from app.domain.sql import MAX_CHARACTERS
from app.domain.tasks import TaskType

SQL = [type_ for type_ in TaskType if type_ is not TaskType.PYSPARK]


@pytest.mark.parametrize(
    ("type_", "query", "columns"),
    [
        (TaskType.MYSQL, "SELECT a, b AS k, c+1 FROM t", [("a", "a"), ("k", "b"), ("c+1", "c+1")]),
        (TaskType.HIVE, "SELECT c+1, count(*) FROM t", [("_c0", "c+1"), ("_c1", "count(*)")]),
        (TaskType.PRESTO, "SELECT c + 1, max( x ) AS m FROM t", [("_col0", "c + 1"), ("m", "max( x )")]),
        (TaskType.SPARK_SQL, "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k", [("id", "a.id"), ("id", "b.id")]),
        (TaskType.HIVE, "SELECT a -- the first\n, /* b */ b AS k FROM t -- done", [("a", "a"), ("k", "b")]),
        (
            TaskType.MYSQL,
            "SELECT (SELECT max(x) FROM u) AS m FROM (SELECT y FROM v) w",
            [("m", "(SELECT max(x) FROM u)")],
        ),
        (
            TaskType.PRESTO,
            'WITH q AS (SELECT Id, 1 AS "One" FROM t) SELECT * FROM q',
            [("Id", "q.Id"), ("One", "q.One")],
        ),
        (TaskType.MYSQL, "SELECT (SELECT max(x) FROM u) m, a FROM t", [("m", "(SELECT max(x) FROM u)"), ("a", "a")]),
        (
            TaskType.MYSQL,
            "SELECT f(NULL, a), case when x then 1 end n",
            [("f(NULL, a)",) * 2, ("n", "case when x then 1 end")],
        ),
        (TaskType.PRESTO, "SELECT a is distinct from b d, c", [("d", "a is distinct from b"), ("c", "c")]),
        (TaskType.SPARK_SQL, "SELECT * FROM (SELECT a, b AS k FROM t) s", [("a", "s.a"), ("k", "s.k")]),
        (TaskType.PRESTO, "SELECT * FROM (VALUES (1, 2)) AS v(x, y)", [("x", "v.x"), ("y", "v.y")]),
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


TABLES = {"orders": ["id", "Amount"], "shop.people": ["id", "name"]}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT * FROM orders", ["id", "Amount"]),
        ("SELECT * FROM ORDERS o", ["id", "Amount"]),
        ("SELECT o.*, p.name FROM orders o JOIN shop.people p ON o.id = p.id", ["id", "Amount", "name"]),
        ("SELECT * FROM orders o JOIN shop.people p ON o.id = p.id", ["id", "Amount", "id", "name"]),
        ("SELECT * FROM orders JOIN shop.people USING (id)", ["id", "Amount", "name"]),
        ("SELECT 1 AS one, * FROM orders WHERE no_such_column > 1", ["one", "id", "Amount"]),
        ("SELECT * FROM orders UNION ALL SELECT * FROM shop.people", ["id", "Amount"]),
        ("WITH orders AS (SELECT 1 AS own) SELECT * FROM orders", ["own"]),
    ],
)
@pytest.mark.parametrize("type_", SQL)
def test_a_star_stands_for_the_columns_of_known_tables(type_: TaskType, query: str, names: list[str]) -> None:
    fields = query_fields(type_, query, tables=TABLES)
    assert ([field.name for field in fields.columns], fields.complete, fields.problem) == (names, True, None)


def test_what_a_star_hides_is_named() -> None:
    fields = query_fields(TaskType.HIVE, "SELECT * FROM orders JOIN dark.side d ON d.id = orders.id", tables=TABLES)
    assert not fields.complete
    assert fields.problem is not None
    assert "dark.side" in fields.problem
    assert "orders" not in fields.problem


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT * FROM Shop.People p, orders", {"Shop.People", "orders"}),
        ("WITH q AS (SELECT * FROM t) SELECT a FROM q", {"t"}),
        ("SELECT a FROM t", set()),
        ("SELECT count(*) FROM t", set()),
        ("SELECT FROM WHERE", set()),
    ],
)
def test_the_tables_are_told_whose_columns_a_star_needs(query: str, names: set[str]) -> None:
    assert tables_behind_stars(TaskType.SPARK_SQL, query) == names


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT case", "Line 1, column 8: Expected END after CASE"),
        ("SELECT 1,\n  FROM WHERE", "Line 2, column 8: Expected table name but got WHERE"),
        ("SELECT a b ccc FROM t", "Line 1, column 12: ccc is not expected here"),
        ("SELECT a FROM t WHERE (", "Line 1, column 23: something is missing after ("),
        ("SELECT 'unfinished", "Line 1, column 8: ' is never closed by '"),
        ("SELECT 'x', 1\n /* y", "Line 2, column 2: /* is never closed by */"),
        ("SELECT a, `b FROM t", "Line 1, column 11: ` is never closed by `"),
        ("SELECT x.* FROM (SELECT 1 AS a) t", "Unknown table: x"),
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
    query_fields(type_, " ".join(words), tables={"t": ["a"]})
