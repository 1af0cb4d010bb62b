"""The MySQL engine against a real MariaDB."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncmy.errors import OperationalError
from pydantic import SecretStr

from app.domain.tasks import TaskType
from app.engines.base import EngineError, TerminalEngineError, TransientEngineError, WorkState
from app.engines.mysql import MysqlEngine
from app.engines.mysql_errors import engine_error
from app.engines.mysql_guard import same_server
from app.engines.mysql_statements import split_statements
from tests.engines.driving import Driver
from tests.support.mariadb import MariaDB

LONG = "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b"
ENDLESS_ROWS = "SELECT * FROM seq_1_to_100000000"


@pytest.fixture(scope="module")
def database(mariadb: MariaDB) -> str:
    name = mariadb.create_database()
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(20)); INSERT INTO t VALUES (1, 'a')", database=name)
    mariadb.execute(
        """
        DELIMITER //
        CREATE PROCEDURE sneaky() BEGIN SET SESSION TRANSACTION READ WRITE; DELETE FROM t; END //
        CREATE FUNCTION cunning() RETURNS INT BEGIN DELETE FROM t; RETURN 1; END //
        """,
        database=name,
    )
    return name


@pytest.fixture(scope="module")
def metadata(mariadb: MariaDB) -> str:
    name = mariadb.create_database()
    mariadb.execute("CREATE TABLE user (secret VARCHAR(20)); INSERT INTO user VALUES ('x')", database=name)
    return name


@asynccontextmanager
async def engine_for(mariadb: MariaDB, tmp_path: Path, **arguments: Any) -> AsyncIterator[Driver]:
    settings = {"host": mariadb.host, "port": mariadb.port, "user": mariadb.user, "password": mariadb.password}
    engine = MysqlEngine(**{"name": "shop", **settings, **arguments})
    try:
        yield Driver(engine, type=TaskType.MYSQL, folder=tmp_path)
    finally:
        await engine.close()


@pytest.fixture
async def reader(mariadb: MariaDB, database: str, tmp_path: Path) -> AsyncIterator[Driver]:
    async with engine_for(mariadb, tmp_path, database=database) as driver:
        yield driver


@pytest.fixture
async def writer(mariadb: MariaDB, tmp_path: Path) -> AsyncIterator[Driver]:
    async with engine_for(mariadb, tmp_path, database=mariadb.create_database(), read_only=False) as driver:
        yield driver


@pytest.fixture
async def guarded(mariadb: MariaDB, database: str, metadata: str, tmp_path: Path) -> AsyncIterator[Driver]:
    forbidden = ("localhost", mariadb.port, metadata)
    async with engine_for(mariadb, tmp_path, database=database, read_only=False, forbidden=forbidden) as driver:
        yield driver


async def running(mariadb: MariaDB, text: str) -> bool:
    listed = await asyncio.to_thread(mariadb.execute, "SHOW FULL PROCESSLIST")
    return text in listed


async def until_running(mariadb: MariaDB, text: str) -> None:
    deadline = time.monotonic() + 10
    while not await running(mariadb, text):
        assert time.monotonic() < deadline, f"{text} never ran"
        await asyncio.sleep(0.02)


async def until_gone(mariadb: MariaDB, text: str, *, seconds: float = 3) -> bool:
    deadline = time.monotonic() + seconds
    while await running(mariadb, text):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


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
            *("18446744073709551615", "q", "eg==", "1e+20", "2020-02-29", None),
        ]
    ]
    assert ended.types == [
        *("BIT", "DECIMAL(10,2)", "ENUM", "TEXT", "BLOB", "TIME", "YEAR", "DATETIME"),
        *("BIGINT UNSIGNED", "VARCHAR", "VARBINARY", "DOUBLE", "DATE", "INT"),
    ]


async def test_a_password_may_be_secret_and_of_any_letters(mariadb, tmp_path):
    mariadb.execute("CREATE OR REPLACE USER 'zoë'@'%' IDENTIFIED BY 'pä€ß🙂'")
    async with engine_for(mariadb, tmp_path, user="zoë", password=SecretStr("pä€ß🙂")) as driver:
        assert (await driver.run("SELECT 1")).rows == [["1"]]


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


async def test_wrong_credentials_are_terminal(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, password="wrong") as driver:
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TerminalEngineError, "PERMISSION")
        assert not (await driver.engine.check()).healthy


async def test_a_server_that_is_not_there_is_transient_and_unhealthy(mariadb, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with engine_for(mariadb, tmp_path, port=port) as driver:
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TransientEngineError, "CONNECTION")
        health = await driver.engine.check()
    assert not health.healthy
    assert str(port) in (health.message or "") or "connect" in (health.message or "").lower()


async def test_a_server_that_does_not_answer_is_unhealthy_within_seconds(mariadb, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with engine_for(mariadb, tmp_path, port=silent.getsockname()[1]) as driver:
            started = time.monotonic()
            assert not (await driver.engine.check()).healthy
            assert time.monotonic() - started < 5


async def test_a_connection_that_is_lost_is_transient(mariadb, reader):
    handle = await reader.submit("SELECT SLEEP(30) AS lost_connection")
    await until_running(mariadb, "lost_connection")
    rows = mariadb.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(30) AS lost%'")
    mariadb.execute(f"KILL CONNECTION {rows.split()[-1]}")
    poll, _log = await reader.follow(handle)
    assert (type(poll.error), poll.error.code) == (TransientEngineError, "CONNECTION")


async def test_after_the_server_dropped_the_idle_connections_work_goes_on(mariadb, reader):
    await reader.run("SELECT 1")
    for line in mariadb.execute("SELECT id FROM information_schema.processlist WHERE command = 'Sleep'").split():
        if line.isdigit():
            mariadb.execute(f"KILL CONNECTION {line}")
    await asyncio.sleep(0.1)
    assert (await reader.run("SELECT 2")).rows == [["2"]]


WRITES = [
    "INSERT INTO t VALUES (2, 'b')",
    "DELETE FROM t",
    "UPDATE t SET s = 'z'",
    "REPLACE INTO t VALUES (1, 'z')",
    "TRUNCATE TABLE t",
    "DROP TABLE t",
    "CREATE TABLE w (a INT)",
    "CREATE TEMPORARY TABLE w (a INT)",
    "ALTER TABLE t ADD COLUMN w INT",
    "RENAME TABLE t TO w",
    "WITH x AS (SELECT 1 AS id) DELETE FROM t",
    "SET SESSION TRANSACTION READ WRITE; DELETE FROM t",
    "COMMIT; DELETE FROM t",
    "START TRANSACTION READ WRITE; DELETE FROM t",
    "/*!50000 DELETE FROM t */",
    "/*M! DELETE FROM t */",
    "SELECT 1 /*! INTO OUTFILE '/tmp/nope' */",
    "SELECT 1 INTO OUTFILE '/tmp/nope'",
    "SELECT 1 INTO/**/DUMPFILE '/tmp/nope'",
    "SET STATEMENT max_statement_time = 1 FOR DELETE FROM t",
    "PREPARE p FROM 'DELETE FROM t'; EXECUTE p",
    "EXECUTE IMMEDIATE 'DELETE FROM t'",
    "BEGIN NOT ATOMIC DELETE FROM t; END",
    "CALL sneaky()",
    "SELECT cunning()",
    "SET @x = cunning()",
    "DO cunning()",
    "SET GLOBAL max_connections = 11",
    "LOCK TABLES t WRITE",
    "GRANT ALL ON *.* TO x",
    "KILL 1",
    "EXPLAIN DELETE FROM t; DELETE FROM t",
    "SELECT 1; \n -- x\n DELETE FROM t",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT '\\'; DELETE FROM t; -- '",
]


@pytest.mark.parametrize("query", WRITES)
async def test_a_read_only_connection_takes_no_write_in_any_disguise(mariadb, database, reader, query):
    before = mariadb.execute("SHOW TABLES; SELECT * FROM t; SHOW COLUMNS FROM t", database=database)
    ended = await reader.run(query)
    assert mariadb.execute("SHOW TABLES; SELECT * FROM t; SHOW COLUMNS FROM t", database=database) == before
    if not query.startswith("SET sql_mode"):  # there the server sees one string
        assert ended.state is WorkState.FAILED
        assert ended.code in {"READ_ONLY", "SYNTAX"}


async def test_the_session_s_mode_cannot_be_turned_for_the_next_statement(reader):
    handle = await reader.submit(
        "SET SESSION TRANSACTION READ WRITE; SET tx_read_only = 0; SELECT @@tx_read_only AS mode"
    )
    await reader.follow(handle)
    stored = await reader.fetch(handle)
    assert stored.row_count == 1
    assert (await reader.run("SET tx_read_only = 0; SELECT @@tx_read_only")).rows == [["1"]]


READS = [
    "SELECT 1",
    "(SELECT 1)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "VALUES (1)",
    "SHOW TABLES",
    "DESCRIBE t",
    "EXPLAIN SELECT * FROM t",
    "SET @region = 'global'",
    "SET group_concat_max_len = 10",
    "# note\nSELECT 'a;b'",
]


@pytest.mark.parametrize("query", READS)
async def test_reading_is_taken(reader, query):
    assert (await reader.run(query)).state is WorkState.SUCCEEDED


async def test_a_read_only_error_says_how_to_allow_writing(reader):
    assert "read_only: false" in (await reader.run("DROP TABLE t")).message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM {m}.user",
        "SELECT * FROM `{m}`.`user`",
        "SELECT * FROM {M}.user",
        "SELECT * FROM {m} . user",
        "SELECT * FROM {m}/* x */.user",
        "SELECT * FROM {m} -- x\n.user",
        "SELECT 1 FROM t WHERE EXISTS (SELECT * FROM {m}.user)",
        "INSERT INTO t SELECT 9, secret FROM {m}.user",
        "DELETE FROM {m}.user",
        "USE {m}; SELECT * FROM user",
        "USE `{m}`",
        "/*! USE {m} */; SELECT * FROM user",
        "SELECT * FROM /*! {m}.*/ user",
        "SHOW TABLES FROM {m}",
        "SHOW TABLES IN `{m}`",
        "DESCRIBE {m}.user",
        "DROP DATABASE {m}",
        "CREATE VIEW v AS SELECT * FROM {m}.user",
        "CREATE TABLE c LIKE {m}.user",
        "PREPARE p FROM CONCAT('SELECT * FROM ', 'x')",
        "EXECUTE IMMEDIATE CONCAT('SELECT * FROM ', 'x')",
        "CREATE PROCEDURE q() BEGIN PREPARE p FROM @x; EXECUTE p; END",
        "SET STATEMENT max_statement_time = 1 FOR SELECT * FROM {m}.user",
    ],
)
async def test_the_platform_s_metadata_cannot_be_named(guarded, metadata, mariadb, query):
    before = mariadb.execute("SELECT * FROM user", database=metadata)
    ended = await guarded.run(query.replace("{m}", metadata).replace("{M}", metadata.upper()))
    assert (ended.state, ended.code) == (WorkState.FAILED, "FORBIDDEN")
    assert mariadb.execute("SELECT * FROM user", database=metadata) == before


async def test_other_databases_of_the_guarded_server_are_free(guarded, database, metadata):
    assert (await guarded.run(f"SELECT s FROM {database}.t")).rows == [["a"]]
    assert (await guarded.run(f"SELECT '{metadata}' AS word, 1 AS {metadata}")).rows == [[metadata, "1"]]


async def test_a_connection_to_the_metadata_itself_is_refused(mariadb, metadata, tmp_path):
    for host, other in (("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("localhost", socket.gethostname())):
        forbidden = (other, mariadb.port, metadata)
        async with engine_for(mariadb, tmp_path, host=host, database=metadata.upper(), forbidden=forbidden) as driver:
            assert (await driver.run("SELECT 1")).code == "FORBIDDEN"
            health = await driver.engine.check()
            assert not health.healthy
            assert "metadata" in (health.message or "")


async def test_the_same_name_on_another_server_is_not_the_metadata(mariadb, metadata, tmp_path):
    async with engine_for(
        mariadb, tmp_path, database=metadata, forbidden=(mariadb.host, mariadb.port + 1, metadata)
    ) as driver:
        assert (await driver.run("SELECT secret FROM user")).rows == [["x"]]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("localhost", "127.0.0.1", True),
        ("127.0.0.1", "::1", True),
        ("127.0.0.2", "localhost", True),
        ("::ffff:127.0.0.1", "localhost", True),
        ("0.0.0.0", "localhost", True),  # noqa: S104 - nothing is bound
        ("DB.example.invalid", "db.EXAMPLE.invalid", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
async def test_names_of_one_machine_are_one_server(one, other, same):
    assert await same_server(one, 3306, other, 3306) is same
    assert not await same_server(one, 3306, other, 3307)


async def test_cancel_ends_the_query_in_the_server(mariadb, reader):
    handle = await reader.submit(LONG)
    await until_running(mariadb, LONG)
    started = time.monotonic()
    await reader.engine.cancel(handle)
    poll, _log = await reader.follow(handle)
    assert poll.state is WorkState.CANCELLED
    assert time.monotonic() - started < 2
    assert await until_gone(mariadb, LONG)


async def test_cancel_ends_rows_that_nobody_fetches(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    await reader.engine.cancel(handle)
    assert (await reader.engine.poll(handle, wait=timedelta(0))).state is WorkState.CANCELLED
    assert await until_gone(mariadb, ENDLESS_ROWS)
    with pytest.raises(EngineError):
        await reader.fetch(handle)


async def test_cancel_ends_a_fetch_midway(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    fetching = asyncio.create_task(reader.fetch(handle))
    await asyncio.sleep(0.3)
    await reader.engine.cancel(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await fetching
    assert caught.value.code == "CANCELLED"
    assert await until_gone(mariadb, ENDLESS_ROWS)


async def test_a_fetch_that_is_given_up_ends_the_query(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    fetching = asyncio.create_task(reader.fetch(handle))
    await asyncio.sleep(0.3)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert await until_gone(mariadb, ENDLESS_ROWS)


async def test_the_time_limit_holds_for_the_query_and_for_its_rows(mariadb, reader):
    ended = await reader.run(LONG, limit=timedelta(seconds=0.3))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")
    assert await until_gone(mariadb, LONG)
    handle = await reader.engine.submit(reader.work(ENDLESS_ROWS, limit=timedelta(seconds=0.5)))
    await reader.follow(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await reader.fetch(handle)
    assert caught.value.code == "TIMEOUT"


async def test_closing_the_engine_ends_its_queries(mariadb, database, tmp_path):
    async with engine_for(mariadb, tmp_path, database=database) as driver:
        await driver.submit(LONG)
        await until_running(mariadb, LONG)
    assert await until_gone(mariadb, LONG)


async def test_a_pool_that_stays_full_is_a_transient_error(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, max_size=1, max_wait=timedelta(seconds=0.2)) as driver:
        handle = await driver.submit("SELECT SLEEP(30)")
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TransientEngineError, "POOL_EXHAUSTED")
        await driver.engine.cancel(handle)
        await driver.follow(handle)
        assert (await driver.run("SELECT 1")).rows == [["1"]]


async def test_work_that_waits_for_a_connection_can_be_cancelled(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, max_size=1) as driver:
        first = await driver.submit("SELECT SLEEP(30)")
        second = await driver.submit("SELECT 1")
        await driver.engine.cancel(second)
        assert (await driver.follow(second))[0].state is WorkState.CANCELLED
        await driver.engine.cancel(first)


async def test_a_connection_is_reused_without_traces_of_its_last_user(mariadb, database, tmp_path):
    async with engine_for(mariadb, tmp_path, database=database, max_size=1, read_only=False) as driver:
        other = mariadb.create_database()
        first = await driver.run("SELECT CONNECTION_ID()")
        await driver.run(
            f"CREATE TEMPORARY TABLE mine (a INT); SET @x = 1; SET sql_mode = 'ANSI'; SET NAMES latin1;"
            f" SELECT GET_LOCK('mine', 0); START TRANSACTION; USE {other}"
        )
        second = await driver.run(
            "SELECT CONNECTION_ID(), @x, @@sql_mode LIKE '%ANSI%', DATABASE(), @@character_set_client,"
            " IS_USED_LOCK('mine'), @@autocommit"
        )
        assert second.rows[0][0] == first.rows[0][0]
        assert second.rows[0][1:] == [None, "0", database, "utf8mb4", None, "1"]
        assert (await driver.run("SELECT * FROM mine")).code == "TABLE_NOT_FOUND"


async def test_reading_leaves_no_lock_behind(mariadb, database, reader):
    await reader.run("SELECT * FROM t")
    mariadb.execute("SET lock_wait_timeout = 1; ALTER TABLE t COMMENT = 'free'", database=database)


async def test_rows_wait_in_the_server_and_not_in_this_process(reader):
    handle = await reader.submit("SELECT seq, REPEAT('x', 1000) FROM seq_1_to_300000")
    await reader.follow(handle)
    before = resident_bytes()
    await asyncio.sleep(0.5)
    assert resident_bytes() - before < 30_000_000
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_bytes())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    stored = await reader.fetch(handle)
    watching.cancel()
    assert (stored.row_count, stored.size_bytes > 300_000_000) == (300_000, True)
    assert peak - before < 100_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


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
    started = time.monotonic()
    assert len(split_statements(text)) == 2
    assert time.monotonic() - started < 3
