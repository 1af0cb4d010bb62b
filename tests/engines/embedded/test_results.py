"""CSV of small and of large results: the same characters, whoever writes them, and never all of them in memory."""

import tracemalloc
from pathlib import Path

import duckdb
import pytest

from app.engines.embedded import results
from app.engines.embedded.results import copy_csv, lay_out, write_csv
from app.engines.embedded.scratch import JobFolder

_VALUES = [
    "1::TINYINT",
    "-7::BIGINT",
    "170141183460469231731687303715884105727::HUGEINT",
    "340282366920938463463374607431768211455::UHUGEINT",
    "1.50::DECIMAL(10, 2)",
    "0.1::DOUBLE",
    "1e300::DOUBLE",
    "'nan'::DOUBLE",
    "'-inf'::FLOAT",
    "true",
    "DATE '2024-02-29'",
    "DATE '0044-03-15 (BC)'",
    "'infinity'::DATE",
    "TIMESTAMP '2024-02-29 01:02:03'",
    "TIMESTAMP '2024-02-29 01:02:03.12'",
    "TIMESTAMP_NS '2024-02-29 01:02:03.123456789'",
    "'2024-02-29 01:02:03'::TIMESTAMP_S",
    "TIMESTAMPTZ '2024-02-29 01:02:03+02:00'",
    "TIME '01:02:03.5'",
    "'01:02:03+02'::TIMETZ",
    "INTERVAL '1 month 2 days 3 seconds'",
    "'a\\x00b'::BLOB",
    "'0101'::BIT",
    "'6a2f41a3-c54c-fce8-32d2-0324e1c32e22'::UUID",
    "'b c'::ENUM('a', 'b c')",
    "[1, NULL, 3]",
    "['a\"b', 'c,d']",
    "{'a': 1, 'b': 'x,y'}",
    "MAP {'k': 1}",
    "'{\"a\": [1, 2]}'::JSON",
    "union_value(n := 5)",
    "NULL",
    "''",
    "' leading'",
    "'trailing '",
    "'a,b;c|d\te'",
    "'say \"hi\"'",
    "'line\nbreak'",
    "'carriage\rreturn'",
    "'émoji 🛫 \\back #'",
]  # fmt: skip
_MANY = "SELECT i AS n, CASE WHEN i % 3 = 0 THEN 'a,b' END AS text, i / 7 AS x FROM range(60000) AS t(i)"


@pytest.fixture
def connection():
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "job")


def copied(connection, layout, tmp_path: Path) -> bytes:
    copy_csv(connection, layout, tmp_path / "copied.csv")
    return (tmp_path / "copied.csv").read_bytes()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "]", "\\"])
def test_a_small_result_has_the_characters_that_copy_would_write(connection, folder, tmp_path, delimiter):
    queries = [f"SELECT {value} AS value UNION ALL SELECT NULL" for value in _VALUES]
    queries.append("SELECT " + ", ".join(f"{value} AS c{index}" for index, value in enumerate(_VALUES)))
    for sql in queries:
        layout = lay_out(connection, sql, labels=(), delimiter=delimiter)
        assert write_csv(connection, layout, folder).text == copied(connection, layout, tmp_path), sql


def test_a_small_result_makes_no_file(connection, folder):
    layout = lay_out(connection, "SELECT 1 AS one", labels=("One",), delimiter=",")
    result = write_csv(connection, layout, folder)
    assert (result.text, result.row_count, result.columns[0].type) == (b"One\n1\n", 1, "INTEGER")
    assert not folder.path.exists()


@pytest.mark.parametrize("quick_seconds", [60.0, 0.0], ids=["asked again", "read on"])
def test_a_large_result_is_the_same_file_either_way(connection, folder, tmp_path, monkeypatch, quick_seconds):
    monkeypatch.setattr(results, "_CHEAP_SECONDS", quick_seconds)
    layout = lay_out(connection, _MANY, labels=(), delimiter=",")
    result = write_csv(connection, layout, folder)
    assert isinstance(result.text, Path)
    assert result.text.read_bytes() == copied(connection, layout, tmp_path)
    assert result.row_count == 60_000


@pytest.mark.parametrize(("width", "count"), [(1_000, 20_000), (20_000, 1_000)])
def test_reading_on_holds_a_few_rows_at_a_time(connection, folder, monkeypatch, width, count):
    monkeypatch.setattr(results, "_CHEAP_SECONDS", 0.0)
    sql = f"SELECT i AS n, repeat('x', {width}) AS text FROM range({count}) AS t(i)"
    layout = lay_out(connection, sql, labels=(), delimiter=",")
    tracemalloc.start()
    try:
        result = write_csv(connection, layout, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.row_count == count
    assert result.text.stat().st_size > 20_000_000
    assert peak < 8_000_000
