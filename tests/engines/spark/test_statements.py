"""Where one Spark statement ends and the next begins."""

import pytest

from app.engines.spark.statements import split_statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;; -- a; b\nSELECT 2;\n", ["SELECT 1", "-- a; b\nSELECT 2"]),
        ("SELECT 'a\\';b', \"c\\\";d\", `e;f`; x", ["SELECT 'a\\';b', \"c\\\";d\", `e;f`", "x"]),
        (r"SELECT r'a\'; SELECT R'\n;'", [r"SELECT r'a\'", r"SELECT R'\n;'"]),
        ("SELECT /* a; /* b; */ c; */ 1; y", ["SELECT /* a; /* b; */ c; */ 1", "y"]),
        ("SELECT 1 /* never; closed", ["SELECT 1 /* never; closed"]),
        ("SELECT 'never; closed", ["SELECT 'never; closed"]),
        ("BEGIN SELECT 1; SELECT 2; END", ["BEGIN SELECT 1; SELECT 2; END"]),
        ("-- nothing; at all\n/* ; */ ;", []),
        ("SELECT 5-3/2; z", ["SELECT 5-3/2", "z"]),
    ],
)
def test_a_text_is_parted_where_a_semicolon_ends_a_statement(text, statements):
    assert [statement.text for statement in split_statements(text)] == statements


@pytest.mark.parametrize(
    ("text", "is_query"),
    [
        ("select 1", True),
        ("-- why\n(SELECT 1)", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("SET a.b = c", False),
        ("INSERT INTO t SELECT 1", False),
    ],
)
def test_queries_are_told_by_their_first_word(text, is_query):
    assert [statement.is_query for statement in split_statements(text)] == [is_query]
