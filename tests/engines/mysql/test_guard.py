"""What a MySQL connection refuses: writes where it is read-only, and the platform's own metadata everywhere."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.engines.base import WorkState
from app.engines.mysql.guard import same_server
from tests.engines.driving import Driver
from tests.engines.mysql.driving import engine_for
from tests.support.mariadb import MariaDB


@pytest.fixture(scope="module")
def metadata(mariadb: MariaDB) -> str:
    name = mariadb.create_database()
    mariadb.execute("CREATE TABLE user (secret VARCHAR(20)); INSERT INTO user VALUES ('x')", database=name)
    return name


@pytest.fixture
async def guarded(mariadb: MariaDB, database: str, metadata: str, tmp_path: Path) -> AsyncIterator[Driver]:
    forbidden = ("localhost", mariadb.port, metadata)
    async with engine_for(mariadb, tmp_path, database=database, read_only=False, forbidden=forbidden) as driver:
        yield driver


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
