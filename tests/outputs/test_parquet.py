"""Parquet made of CSV: types that fit, values that stay what they were, labels that are kept."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import sleep

import duckdb
import pytest

from app.domain.csv_format import encode_rows
from app.domain.outputs import OutputColumn, OutputFormat
from app.outputs import parquet as parquet_module
from app.outputs.base import StorageError
from app.outputs.csv_reader import read_records
from app.outputs.local import LocalOutputStore
from app.outputs.parquet import first_rows, write_csv, write_parquet
from app.outputs.parquet_types import parquet_type
from tests.outputs.stored_files import COLUMNS, files, new_sink


def made(folder: Path, columns: list[tuple[str, str]], rows: list[list], *, delimiter: str = ",") -> Path:
    csv, parquet = folder / "made.csv", folder / "made.parquet"
    labels = [name for name, _ in columns]
    csv.write_bytes(encode_rows([labels], delimiter) + encode_rows(rows, delimiter))
    described = [OutputColumn(name=name, type=kind) for name, kind in columns]
    write_parquet(csv, parquet, columns=described, delimiter=delimiter)
    return parquet


def kinds(parquet: Path) -> list[str]:
    return [str(row[1]) for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{parquet}'").fetchall()]


def back(parquet: Path, *, delimiter: str = ",") -> list[list[str | None]]:
    csv = parquet.with_suffix(".back.csv")
    write_csv(parquet, csv, delimiter=delimiter)
    header, *rows = read_records([csv.read_bytes().decode()], delimiter)
    labels, texts = first_rows(parquet, limit=1_000)
    assert header == [label or "" for label in labels]
    assert texts == rows, "a preview and a whole reading show the same"
    return rows


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("INT", "INTEGER"),
        ("int", "INTEGER"),
        ("BIGINT UNSIGNED", "UBIGINT"),
        ("tinyint(4)", "TINYINT"),
        ("DECIMAL(10,2)", "DECIMAL(10,2)"),
        ("decimal(38, 18)", "DECIMAL(38,18)"),
        ("DECIMAL(5)", "DECIMAL(5,0)"),
        ("DECIMAL(65,30)", "VARCHAR"),
        ("double precision", "DOUBLE"),
        ("timestamp(3)", "TIMESTAMP"),
        ("timestamp(3) with time zone", "TIMESTAMPTZ"),
        ("varchar(20)", "VARCHAR"),
        ("array(bigint)", "VARCHAR"),
        ("HUGEINT", "VARCHAR"),
        ("whatever", "VARCHAR"),
    ],
)
def test_engines_names_of_types_have_their_counterparts(name, kind):
    assert parquet_type(name) == kind


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        ("INT", ["1", "-2147483648", None], "INTEGER"),
        ("INT", ["1", "2147483648"], "VARCHAR"),
        ("INT", ["007"], "VARCHAR"),
        ("INT", ["1", ""], "VARCHAR"),
        ("INT", ["1.5"], "VARCHAR"),
        ("BIGINT UNSIGNED", ["18446744073709551615"], "UBIGINT"),
        ("DECIMAL(10,2)", ["1.10", "-0.05", None], "DECIMAL(10,2)"),
        ("DECIMAL(10,2)", ["1.105"], "VARCHAR"),
        ("DECIMAL(3,1)", ["1234.5"], "VARCHAR"),
        ("DOUBLE", ["0.1", "nan", "inf", "1e-300"], "DOUBLE"),
        ("FLOAT", ["0.1"], "DOUBLE"),
        ("BOOLEAN", ["true", "false", None], "BOOLEAN"),
        ("BOOLEAN", ["1"], "VARCHAR"),
        ("DATE", ["2026-01-05", "0001-01-01"], "DATE"),
        ("DATE", ["0000-00-00"], "VARCHAR"),
        ("DATE", ["infinity"], "VARCHAR"),
        ("DATETIME", ["2026-01-05 10:00:00", "2026-01-05 10:00:00.500000"], "TIMESTAMP"),
        ("TIMESTAMP", ["2026-01-05 10:00:00.123456789"], "VARCHAR"),
        ("TIMESTAMP WITH TIME ZONE", ["2026-01-05 10:00:00+00:00"], "TIMESTAMP WITH TIME ZONE"),
        ("TIMESTAMP WITH TIME ZONE", ["2026-01-05 10:00:00 Europe/Berlin"], "VARCHAR"),
        ("VARBINARY", ["aGk=", "", None], "BLOB"),
        ("VARBINARY", ["hi!"], "VARCHAR"),
        ("VARCHAR", ["1", "", None, "NULL"], "VARCHAR"),
    ],
)
def test_a_column_has_its_type_where_no_cell_would_lose_anything(tmp_path, kind, cells, expected):
    parquet = made(tmp_path, [("a", kind)], [[cell] for cell in cells])
    assert kinds(parquet) == [expected]
    assert back(parquet) == [[cell] for cell in cells]


def test_offsets_become_the_instant_in_utc(tmp_path):
    parquet = made(tmp_path, [("a", "TIMESTAMP WITH TIME ZONE")], [["2026-01-05 10:00:00.250000+02:00"]])
    assert back(parquet) == [["2026-01-05 08:00:00.250000+00:00"]]


def test_awkward_texts_stay_what_they_are(tmp_path):
    texts = ["", None, " a ", 'q"', "'", "a\nb", "\r\n", "a,b", "é😀", "\\N", "nul\0byte", "x" * 300_000, "#", "NULL"]
    rows = [[text, text] for text in texts]
    for delimiter in ",;\t|":
        parquet = made(tmp_path, [("a", "VARCHAR"), ("b", "TEXT")], rows, delimiter=delimiter)
        assert back(parquet, delimiter=delimiter) == rows


def test_labels_are_kept_though_names_in_the_file_are_unique(tmp_path):
    labels = ["id", "ID", "id", "id_2", "", 'a"b', "it's", "é"]
    parquet = made(tmp_path, [(label, "INT") for label in labels], [[1] * 8])
    assert back(parquet) == [["1"] * 8]
    assert first_rows(parquet, limit=1)[0] == tuple(labels)
    names = [str(row[0]) for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{parquet}'").fetchall()]
    assert len({name.casefold() for name in names}) == 8
    assert names[0] == "id"


def test_an_output_without_rows_keeps_its_columns_and_their_types(tmp_path):
    parquet = made(tmp_path, [("a", "INT"), ("b", "DATE")], [])
    assert kinds(parquet) == ["INTEGER", "DATE"]
    assert back(parquet) == []


def test_rows_keep_their_order(tmp_path):
    parquet = made(tmp_path, [("a", "INT")], [[number] for number in range(50_000)])
    assert duckdb.sql(f"SELECT a FROM '{parquet}'").fetchall() == [(number,) for number in range(50_000)]


def test_what_cannot_be_converted_is_told(tmp_path):
    csv = tmp_path / "broken.csv"
    csv.write_bytes(b"a\n1,2\n")
    with pytest.raises(StorageError, match="converted"):
        write_parquet(csv, tmp_path / "x", columns=[OutputColumn(name="a", type="INT")], delimiter=",")


def test_an_error_of_who_looks_up_ends_a_conversion(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "_LOOK_UP_SECONDS", 0)
    csv = tmp_path / "made.csv"
    csv.write_bytes(b"a\n" + b"1\n" * 300_000)

    def leave() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_parquet(csv, tmp_path / "x", columns=[OutputColumn(name="a", type="INT")], delimiter=",", look_up=leave)


async def test_the_files_of_a_conversion_are_there_until_it_ends_for_a_task_that_was_cancelled_too(
    tmp_path, monkeypatch
):
    begun, there = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def endless(csv: Path, parquet: Path, *, look_up: Callable[[], None], **_options: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                look_up()
                sleep(0.01)
        finally:
            there.append((csv.read_bytes(), parquet.exists()))

    async def fill() -> None:
        async with new_sink(LocalOutputStore(root=tmp_path), format=OutputFormat.PARQUET) as sink:
            await sink.write_csv(b"id\n1\n", COLUMNS[:1], row_count=1)

    monkeypatch.setattr("app.outputs.sink.write_parquet", endless)
    task = asyncio.create_task(fill())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert there == [(b"id\n1\n", True)]
    assert files(tmp_path) == []


def test_a_file_larger_than_the_memory_is_converted(tmp_path, monkeypatch):
    monkeypatch.setitem(parquet_module._CONFIG, "memory_limit", "96MB")
    csv, parquet, row = tmp_path / "made.csv", tmp_path / "made.parquet", b"x" * 999 + b"\n"
    with csv.open("wb") as file:
        file.write(b"a\n")
        for _ in range(100):
            file.write(row * 1_000)
    assert csv.stat().st_size > 96_000_000
    assert write_parquet(csv, parquet, columns=[OutputColumn(name="a", type="VARCHAR")], delimiter=",") == 100_000
