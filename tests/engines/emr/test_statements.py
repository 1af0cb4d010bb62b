"""Statements parted, and made safe for Hive's command line."""

import pytest

from app.engines.base import TerminalEngineError
from app.engines.emr.statements import HiveResult, hive_statements, split_statements


def test_statements_stay_as_they_were_written():
    text = "SET x = 1; SELECT ';' AS a, -- it's;\n `b;` FROM t ;; "
    assert split_statements(text, "spark") == ["SET x = 1", "SELECT ';' AS a, -- it's;\n `b;` FROM t"]


def test_a_text_that_cannot_be_read_is_left_to_the_engine():
    assert split_statements("SELECT 'abc", "presto") == ["SELECT 'abc"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("SELECT 1", HiveResult(tail="SELECT 1")),
        ("WITH a AS (SELECT 1) SELECT * FROM a", HiveResult(head="WITH a AS (SELECT 1)", tail="SELECT * FROM a")),
        ("FROM t SELECT a", HiveResult(head="FROM t", tail="SELECT a")),
        ("SELECT 1 UNION ALL SELECT 2", HiveResult(tail="SELECT 1 UNION ALL SELECT 2")),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT 2", HiveResult(head="WITH a AS (SELECT 1) INSERT INTO t SELECT 2")),
        ("FROM t INSERT INTO u SELECT a", HiveResult(head="FROM t INSERT INTO u SELECT a")),
        ("CREATE TABLE t AS SELECT 1", HiveResult(head="CREATE TABLE t AS SELECT 1")),
        ("show tables", HiveResult(listing="show tables")),
        ("SELECT `select`, 'insert' FROM t", HiveResult(tail="SELECT `select`, 'insert' FROM t")),
    ],
)  # fmt: skip
def test_the_place_for_the_destination_is_found(text, result):
    assert hive_statements(text) == ([], result)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("SELECT 'a;b'", r"SELECT 'a\u003Bb'"),
        (r"SELECT 'a\;b', 'c\\;'", r"SELECT 'a\u003Bb', 'c\\\u003B'"),
        ("SELECT 'a\n-- b'", r"SELECT 'a\n-- b'"),
        ("SELECT 1 -- it's; a comment\n, 2 /* ' */", "SELECT 1 , 2"),
        ("SELECT /*+ MAPJOIN(t) */ 2.50BD, 1L", "SELECT /*+ MAPJOIN(t) */ 2.50BD, 1L"),
    ],
)
def test_the_command_line_can_part_it_no_other_way(text, safe):
    assert hive_statements(text)[1].tail == safe


@pytest.mark.parametrize("text", ["!rm -rf /", "dfs -ls /", "quit", "SELECT 1; source x.hql", ";;", "SELECT 'abc"])
def test_commands_of_the_command_line_and_no_statements_are_refused(text):
    with pytest.raises(TerminalEngineError) as raised:
        hive_statements(text)
    assert raised.value.code == "SYNTAX"
