"""No text reaches the host's files, another playground or the engine's own settings: by the dialects, nor by DuckDB."""

from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from tests.engines.embedded.harness import Runner

ALL = [TaskType.HIVE, TaskType.SPARK_SQL, TaskType.PRESTO, TaskType.MYSQL]
SECRET = "the-secret-of-this-machine"

ATTACKS = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_csv_auto('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_parquet('{secret}')",
    "SELECT * FROM parquet_scan('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '{secret}'",
    'SELECT * FROM "{secret}"',
    "SELECT * FROM `{secret}`",
    "SELECT * FROM csv.`{secret}`",
    "SELECT * FROM parquet.`{secret}`",
    "SELECT * FROM text.`{secret}`",
    "SELECT * FROM (SELECT * FROM `{secret}`) x",
    "WITH x AS (SELECT * FROM read_csv('{secret}')) SELECT * FROM x",
    "SELECT read_csv('{secret}')",
    "SELECT read_text('{secret}')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT LOAD_FILE('{secret}')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('sales')",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM range(10)",
    "SELECT phantom_space(3)",
    "SELECT java_method('java.lang.System', 'getenv', 'HOME')",
    "SELECT reflect('java.lang.System', 'getenv', 'HOME')",
    "SELECT TRANSFORM (id) USING 'cat {secret}' FROM sales",
    "COPY sales TO '{target}'",
    "COPY (SELECT 1) TO '{target}'",
    "COPY sales FROM '{secret}'",
    "EXPORT DATABASE '{target}'",
    "IMPORT DATABASE '{target}'",
    "ATTACH '{target}' AS x",
    "DETACH temp",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD DATA INPATH '{secret}' INTO TABLE sales",
    "LOAD DATA LOCAL INFILE '{secret}' INTO TABLE sales",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CREATE MACRO f(x) AS x",
    "CREATE FUNCTION f AS 'x'",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TABLE evil AS SELECT * FROM read_csv('{secret}')",
    "CREATE TABLE evil LOCATION '{target}' AS SELECT 1 AS a",
    "CREATE EXTERNAL TABLE evil (a int) LOCATION '{secret}'",
    "CREATE TABLE evil USING csv OPTIONS (path '{secret}')",
    "CREATE TABLE evil (a int) WITH (external_location = '{secret}')",
    "CREATE VIEW evil AS SELECT * FROM read_csv('{secret}')",
    "INSERT OVERWRITE DIRECTORY '{target}' SELECT 1",
    "INSERT OVERWRITE LOCAL DIRECTORY '{target}' SELECT 1",
    "SELECT 1 INTO OUTFILE '{target}'",
    "SELECT 1 INTO DUMPFILE '{target}'",
    "ADD JAR {secret}",
    "SHOW TABLES",
    "EXECUTE x",
    "PREPARE x AS SELECT 1",
    "BEGIN; SELECT * FROM read_text('{secret}'); COMMIT",
    "SELECT 1; SELECT * FROM read_text('{secret}')",
    "SELECT * FROM sales WHERE id IN (SELECT * FROM read_csv('{secret}'))",
    "SELECT * FROM sales, LATERAL read_csv('{secret}') t",
    "SELECT * FROM sales CROSS JOIN LATERAL (SELECT * FROM read_text('{secret}')) t",
    "SELECT * FROM sales LATERAL VIEW read_csv('{secret}') t AS x",
    "SELECT * FROM UNNEST(glob('/etc/*')) AS t (x)",
    "SELECT main.read_text('{secret}')",
    "SELECT \"read_text\"('{secret}')",
    "SELECT `read_text`('{secret}')",
    "SELECT * FROM TABLE(read_text('{secret}'))",
    "SELECT * FROM TABLE('{secret}')",
    "SELECT nextval('x')",
    "SELECT set_config('a', 'b')",
    "SELECT * FROM temp.sales x, main.read_csv('{secret}') y",
]


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("text", ATTACKS)
async def test_no_text_reads_or_writes_the_host(run, tmp_path: Path, dialect, text):
    secret, target = tmp_path / "secret.csv", tmp_path / "target"
    secret.write_text(f"a\n{SECRET}\n")
    result = await run(dialect, text.format(secret=secret, target=target))
    assert result.state is WorkState.FAILED, result
    assert result.code in {"SYNTAX", "UNSUPPORTED", "TABLE_NOT_FOUND", "COLUMN_NOT_FOUND", "REFUSED", "INVALID_NAME"}
    assert SECRET not in result.message
    assert not target.exists()
    assert "Traceback" not in result.message


async def test_session_statements_change_nothing_and_are_logged(run, tmp_path: Path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for text in ("SET enable_external_access = true", "SET lock_configuration = false", "USE memory"):
        result = await run(TaskType.HIVE, f"{text}; SELECT 1 AS one")
        assert result.rows == [("1",)]
        assert any(line.startswith("Ignored") for line in result.log)


async def test_the_database_itself_is_closed_to_everything_but_the_playgrounds_files(fresh: Runner, tmp_path: Path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    await fresh(TaskType.HIVE, "CREATE TABLE mine AS SELECT 1 AS a")
    other = Runner(fresh.engine, tmp_path, uuid4())
    await other(TaskType.HIVE, "CREATE TABLE theirs AS SELECT 1 AS a")
    (theirs,) = (tmp_path / "catalogue" / "playgrounds" / str(other.playground_id)).glob("*.parquet")
    (mine,) = (tmp_path / "catalogue" / "playgrounds" / str(fresh.playground_id)).glob("*.parquet")
    with fresh.engine._databases.session(fresh.playground_id) as session:
        connection = session.connection
        assert connection.execute(f"SELECT * FROM read_parquet('{mine}')").fetchall() == [(1,)]
        for attack in (
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM read_parquet('{theirs}')",
            f"SELECT * FROM read_parquet('{mine.parent}/../{other.playground_id}/{theirs.name}')",
            f"SELECT * FROM read_text('{mine.parent}/../../../secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/out.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
            "SET lock_configuration = false",
            "SET memory_limit = '100GB'",
            "RESET enable_external_access",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(attack)


async def test_a_symbolic_link_is_no_way_out_of_a_table_name(fresh: Runner):
    for name in ("`../../escape`", "`/etc/passwd`", "`a/b`", "`..`", "`x\u0000y`", "`" + "ü" * 200 + "`"):
        result = await fresh(TaskType.HIVE, f"CREATE TABLE {name} AS SELECT 1 AS a")
        if result.state is WorkState.SUCCEEDED:
            again = await fresh(TaskType.HIVE, f"SELECT a FROM {name}")
            assert again.rows == [("1",)]
        else:
            assert result.code in {"INVALID_NAME", "SYNTAX"}, result
    root = fresh.folder / "catalogue"
    made = [path for path in fresh.folder.rglob("*.parquet") if root not in path.parents]
    assert made == []
    assert all(path.parent.name == str(fresh.playground_id) for path in (root / "playgrounds").rglob("*.parquet"))


async def test_playgrounds_do_not_see_each_others_tables(fresh: Runner, tmp_path: Path):
    await fresh(TaskType.HIVE, "CREATE TABLE mine AS SELECT 1 AS a")
    other = Runner(fresh.engine, tmp_path, uuid4())
    result = await other(TaskType.HIVE, "SELECT * FROM mine")
    assert result.code == "TABLE_NOT_FOUND"


async def test_a_deeply_nested_text_fails_and_the_engine_lives(fresh: Runner):
    for text in ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT 1" + " + 1" * 20000):
        result = await fresh(TaskType.PRESTO, text)
        assert result.state is WorkState.FAILED
        assert result.code in {"UNSUPPORTED", "SYNTAX", "INVALID_QUERY"}, result.message[:200]
    assert (await fresh(TaskType.PRESTO, "SELECT 1")).rows == [("1",)]
