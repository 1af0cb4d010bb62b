"""Parting a text into statements, and which of them gives the output."""

import pytest

from app.engines.hive.statements import output_index, split_statements


def texts(text: str) -> list[str]:
    return [statement.text for statement in split_statements(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("-- first\nSET a=b; /* ; */ SELECT ';' -- last;\n", ["SET a=b", "SELECT ';'"]),
        (
            r"SELECT 'it\'s; one', " + '"two;"' + ", `a;b`; SELECT 2",
            [r"SELECT 'it\'s; one', " + '"two;"' + ", `a;b`", "SELECT 2"],
        ),
        ("SELECT /*+ MAPJOIN(a) */ 1 - 2", ["SELECT /*+ MAPJOIN(a) */ 1 - 2"]),
        ("SELECT 'open; for ever", ["SELECT 'open; for ever"]),
        ("; -- nothing\n;", []),
    ],
)
def test_a_text_is_parted_at_semicolons_outside_quotes_and_comments(text, parts):
    assert texts(text) == parts


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("SELECT 1; DROP TABLE t", 0),
        ("CREATE TABLE t AS SELECT 1; INSERT INTO t SELECT 2", 1),
        ("SELECT 1; WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", 0),
        ("SELECT 1; WITH a AS (SELECT 1) SELECT * FROM a", 1),
        ("SELECT 1; FROM t INSERT OVERWRITE TABLE u SELECT a", 0),
        ("SELECT 1; (SELECT 2)", 1),
        ("SELECT 1; SET a=b", 0),
        ("SELECT 1; SET a", 1),
    ],
)
def test_the_output_is_that_of_the_last_statement_that_may_give_rows(text, index):
    assert output_index(split_statements(text)) == index


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("SET a=b", True),
        ("use sales", True),
        ("ADD JAR s3://bucket/a.jar", True),
        ("DELETE JAR a.jar", True),
        ("CREATE TEMPORARY FUNCTION f AS 'a.B'", True),
        ("CREATE OR REPLACE TEMPORARY FUNCTION f AS 'a.B'", True),
        ("DROP TEMPORARY MACRO m", True),
        ("DELETE FROM t", False),
        ("CREATE TEMPORARY TABLE t (a INT)", False),
        ("SELECT 1", False),
    ],
)
def test_statements_of_the_session_are_told_from_those_that_do_the_work(text, own):
    (statement,) = split_statements(text)
    assert statement.is_of_the_session is own
