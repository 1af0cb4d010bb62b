"""Where a text is parted into its statements, and where not."""

import pytest

from app.engines.presto.statements import split_statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ; ;; -- x\n; /* y */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT ';'; SELECT \";\"; SELECT `;`", ["SELECT ';'", 'SELECT ";"', "SELECT `;`"]),
        ("SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
        ("SELECT '\\'; SELECT 2", ["SELECT '\\'", "SELECT 2"]),  # no escape here
        ("SELECT 1 -- a; b's\n; SELECT 2", ["SELECT 1 -- a; b's", "SELECT 2"]),
        ("SELECT /* ; ' */ 1; /* x */ SELECT 2", ["SELECT /* ; ' */ 1", "/* x */ SELECT 2"]),
        ("SELECT 6 / 2 - 1; SELECT 'open", ["SELECT 6 / 2 - 1", "SELECT 'open"]),
        (
            "CREATE FUNCTION f(a int) RETURNS int BEGIN IF a > 1 THEN RETURN 1; END IF; RETURN 2; END; SELECT 1",
            [
                "CREATE FUNCTION f(a int) RETURNS int BEGIN IF a > 1 THEN RETURN 1; END IF; RETURN 2; END",
                "SELECT 1",
            ],
        ),
        (
            "WITH FUNCTION f() RETURNS int BEGIN CASE WHEN a THEN b; END CASE; RETURN 1; END SELECT f(); SELECT 2",
            ["WITH FUNCTION f() RETURNS int BEGIN CASE WHEN a THEN b; END CASE; RETURN 1; END SELECT f()", "SELECT 2"],
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN SET x = g(CASE a END, CASE b END); RETURN x; END; SELECT 2",
            ["CREATE FUNCTION f() RETURNS int BEGIN SET x = g(CASE a END, CASE b END); RETURN x; END", "SELECT 2"],
        ),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1; SELECT begin FROM t; SELECT 2",
            ["CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1", "SELECT begin FROM t", "SELECT 2"],
        ),
        ("SELECT begin; SELECT 2", ["SELECT begin", "SELECT 2"]),
    ],
)
def test_a_text_is_parted_at_the_semicolons_that_end_statements(text, statements):
    assert [statement.text for statement in split_statements(text)] == statements


def test_a_statement_knows_its_place_in_the_text():
    first, second, third = split_statements("SELECT 1; SELECT\n 2;\n\n   -- why\n SELECT 3")
    assert (first.line, first.column) == (1, 1)
    assert (second.line, second.column) == (1, 11)
    assert (third.line, third.column) == (4, 4)
    assert third.text == "-- why\n SELECT 3"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("SELECT 1", True),
        ("-- x\n(SELECT 1) UNION (SELECT 2)", True),
        ("/* x */ with a as (select 1) select * from a", True),
        ("show tables", True),
        ("EXECUTE p", True),
        ("SET SESSION a = 1", False),
        ("INSERT INTO t SELECT 1", False),
        ("DROP TABLE t", False),
    ],
)
def test_the_first_word_tells_whether_rows_may_come(text, may):
    (statement,) = split_statements(text)
    assert statement.may_return_rows is may
