"""The MySQL engine against a real MariaDB: what texts give, which of them fail and how, and where they are parted."""

import time

import pytest
from asyncmy.errors import OperationalError

from app.engines.base import TerminalEngineError, TransientEngineError, WorkState
from app.engines.mysql.errors import engine_error
from app.engines.mysql.statements import split_statements


async def test_values_keep_their_text_and_types_their_names(writer):
    ended = await writer.run(
        "CREATE TABLE v (a BIT(4), b DECIMAL(10,2) UNSIGNED, c ENUM('x'), e TEXT, f BLOB, g TIME, h YEAR,"
        " i DATETIME(6), k BIGINT UNSIGNED, l VARCHAR(5), n VARBINARY(4), o DOUBLE, p DATE, q INT);"
        "INSERT INTO v VALUES (b'1010', 1.5, 'x', 't', 'b', '-25:00:01', 2020, '2020-01-01 01:02:03.000040',"
        " 18446744073709551615, 'q', 'z', 1e20, '2020-02-29', NULL);"
        "SELECT * FROM v"
    )
    assert ended.rows == [
        [
            *("10", "1.50", "x", "t", "Yg==", "-25:00:01", "2020", "2020-01-01 01:02:03.000040"),
            *("18446744073709551615", "q", "eg==", "1e20", "2020-02-29", None),
        ]
    ]
    assert ended.types == [
        *("BIT", "DECIMAL(10,2)", "ENUM", "TEXT", "BLOB", "TIME", "YEAR", "DATETIME"),
        *("BIGINT UNSIGNED", "VARCHAR", "VARBINARY", "DOUBLE", "DATE", "INT"),
    ]


async def test_the_last_rows_are_the_output_and_the_log_says_what_was_dropped(reader):
    ended = await reader.run("SELECT 1 AS a; SET @x = 5; SELECT @x AS b")
    assert (ended.labels, ended.rows) == (["b"], [["5"]])
    assert any("not the output" in line for line in ended.log)


async def test_what_follows_the_last_query_is_run_after_its_rows(writer):
    ended = await writer.run(
        "CREATE TABLE gone (a INT); INSERT INTO gone VALUES (1),(2); SELECT a FROM gone; DROP TABLE gone"
    )
    assert ended.rows == [["1"], ["2"]]
    assert (await writer.run("SELECT * FROM gone")).code == "TABLE_NOT_FOUND"


async def test_an_error_after_the_rows_fails_the_fetch(writer):
    handle = await writer.submit("SELECT 1; DROP TABLE nope")
    await writer.follow(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await writer.fetch(handle)
    assert caught.value.code == "TABLE_NOT_FOUND"


async def test_a_procedure_with_semicolons_is_one_statement_and_gives_its_first_rows(writer):
    created = await writer.run("CREATE PROCEDURE p() BEGIN SELECT 1 AS one; SELECT 2 AS two; END")
    assert created.state is WorkState.SUCCEEDED
    ended = await writer.run("CALL p()")
    assert (ended.labels, ended.rows) == (["one"], [["1"]])
    assert (await writer.run("CALL p(); SELECT 3 AS three")).rows == [["3"]]


async def test_warnings_of_the_server_are_in_the_log(writer):
    ended = await writer.run("DROP TABLE IF EXISTS never_there")
    assert any("never_there" in line for line in ended.log)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELEC 1", "SYNTAX"),
        ("SELECT FROM WHERE", "SYNTAX"),
        ("SELECT * FROM nope", "TABLE_NOT_FOUND"),
        ("SELECT nope FROM t", "COLUMN_NOT_FOUND"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND"),
        ("SELECT * FROM nodb.t", "TABLE_NOT_FOUND"),
        ("USE nodb", "DATABASE_NOT_FOUND"),
        ("-- nothing\n /* at all */ ;", "SYNTAX"),
        ("SELECT '\ud800'", "SYNTAX"),
    ],
)
async def test_errors_of_the_text_are_terminal_and_named(reader, query, code):
    ended = await reader.run(query)
    assert isinstance(ended.error, TerminalEngineError)
    assert ended.code == code
    assert ended.message


async def test_a_syntax_error_has_the_server_s_own_words(reader):
    assert "near 'FROM WHERE'" in (await reader.run("SELECT FROM WHERE")).message


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (1040, TransientEngineError, "TOO_MANY_CONNECTIONS"),
        (1053, TransientEngineError, "SERVER_SHUTDOWN"),
        (1205, TransientEngineError, "LOCK_WAIT"),
        (1213, TransientEngineError, "DEADLOCK"),
        (2006, TransientEngineError, "CONNECTION"),
        (2013, TransientEngineError, "CONNECTION"),
        (1142, TerminalEngineError, "PERMISSION"),
        (1969, TerminalEngineError, "TIMEOUT"),
        (9999, TerminalEngineError, "ENGINE_ERROR"),
    ],
)
def test_an_error_number_says_whether_to_try_again(number, kind, code):
    error = engine_error(OperationalError(number, "words"))
    assert (type(error), error.code) == (kind, code)
    assert "words" in error.message


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ; ;; -- x\n; /* y */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT ';'; SELECT \";\"; SELECT `;`", ["SELECT ';'", 'SELECT ";"', "SELECT `;`"]),
        ("SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
        (r"SELECT 'it\';s'; SELECT 2", [r"SELECT 'it\';s'", "SELECT 2"]),
        ("SELECT 1 -- a;b\n; SELECT 2", ["SELECT 1 -- a;b", "SELECT 2"]),
        ("SELECT 1 # a;b\n; SELECT 2", ["SELECT 1 # a;b", "SELECT 2"]),
        ("SELECT /* ; */ 1; SELECT 2", ["SELECT /* ; */ 1", "SELECT 2"]),
        ("SELECT 5--3; SELECT 2", ["SELECT 5--3", "SELECT 2"]),
        ("SELECT 1;\nCREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a=1; SET @b=2; END",
         ["SELECT 1", "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a=1; SET @b=2; END"]),
        ("CREATE DEFINER=`a`@`b` FUNCTION f() RETURNS INT BEGIN RETURN 1; END",
         ["CREATE DEFINER=`a`@`b` FUNCTION f() RETURNS INT BEGIN RETURN 1; END"]),
        ("CREATE TABLE event (a INT); SELECT 1", ["CREATE TABLE event (a INT)", "SELECT 1"]),
        ("SELECT 'never closed; SELECT 2", ["SELECT 'never closed; SELECT 2"]),
    ],
)  # fmt: skip
def test_a_text_is_parted_where_the_server_would(text, statements):
    assert [statement.text for statement in split_statements(text)] == statements


def test_a_long_text_is_parted_in_no_time():
    text = "INSERT INTO t VALUES " + ",".join("(1, 'a;\\'b')" for _ in range(50_000)) + "; SELECT '" + "x" * 2_000_000
    started = time.thread_time()  # of the processor: a busy machine has no say in it
    assert len(split_statements(text)) == 2
    assert time.thread_time() - started < 3
