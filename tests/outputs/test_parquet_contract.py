"""What every output store keeps to where outputs are Parquet: in a folder and on S3."""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal

import pytest

from app.domain.outputs import OutputColumn, OutputFormat
from app.outputs.base import StorageError
from tests.outputs.stored_files import COLUMNS, MANY, Heard, few_and_many, new_file, new_sink, written

TYPED = tuple(
    OutputColumn(name=name, type=kind)
    for name, kind in [("id", "BIGINT"), ("price", "DECIMAL(10,2)"), ("at", "TIMESTAMP"), ("text", "VARCHAR")]
)
ROWS = [
    (1, Decimal("1.50"), datetime(2026, 1, 5, 10, 0, 0, 500_000), 'a\n"b"'),  # noqa: DTZ001 - the column has no zone
    (2**62, None, None, ""),
    (None, Decimal("-3.00"), datetime(1, 1, 1), None),  # noqa: DTZ001 - as above
]
TEXTS = [
    ["1", "1.50", "2026-01-05 10:00:00.500000", 'a\n"b"'],
    [str(2**62), None, None, ""],
    [None, "-3.00", "0001-01-01 00:00:00", None],
]


async def test_parquet_keeps_types_and_null_apart_from_the_empty_string(shelf):
    stored = await written(shelf.store, ROWS, columns=TYPED, format=OutputFormat.PARQUET)
    assert stored.location.endswith("/1/output.parquet")
    assert (stored.format, stored.row_count, stored.columns) == (OutputFormat.PARQUET, 3, TYPED)
    assert stored.size_bytes == await shelf.store.size(stored.location)
    assert await shelf.complete() == [stored.location]
    assert await shelf.unfinished() == 0
    table = await shelf.store.preview(stored.location, format=stored.format, delimiter=",", limit=2)
    assert (table.columns, table.rows, table.truncated) == (("id", "price", "at", "text"), TEXTS[:2], True)
    async with shelf.store.csv_file(stored.location, format=stored.format, delimiter=";", copying=Heard()) as path:
        assert path.read_text() == (
            'id;price;at;text\n1;1.50;2026-01-05 10:00:00.500000;"a\n""b"""\n'
            f'{2**62};;;""\n;-3.00;0001-01-01 00:00:00;\n'
        )


async def test_a_preview_of_a_large_parquet_output_shows_its_first_rows(shelf):
    stored = await written(shelf.store, MANY, MANY, MANY, format=OutputFormat.PARQUET)
    table = await shelf.store.preview(stored.location, format=stored.format, delimiter=",", limit=100)
    assert [row[0] for row in table.rows] == [str(number) for number in range(100)]
    assert table.truncated


async def test_records_and_files_become_parquet_as_rows_do(shelf, tmp_path):
    async def pieces() -> AsyncIterator[bytes]:
        yield b'1,"a'
        yield b'"\n2,""\n'

    async with new_sink(shelf.store, format=OutputFormat.PARQUET) as sink:
        await sink.write_records(COLUMNS, pieces())
    first = await shelf.store.preview(sink.stored.location, format=OutputFormat.PARQUET, delimiter=",", limit=5)
    made = new_file(tmp_path, b'id,"na,me"\n1,a\n2,""\n')
    async with new_sink(shelf.store, attempt=2, format=OutputFormat.PARQUET) as sink:
        await sink.adopt_csv(made, COLUMNS, row_count=2)
        made.parent.rmdir()
    again = await shelf.store.preview(sink.stored.location, format=OutputFormat.PARQUET, delimiter=",", limit=5)
    assert first == again
    assert first.rows == [["1", "a"], ["2", ""]]


async def test_a_table_without_columns_is_stored_as_the_empty_csv_that_it_is(shelf):
    stored = await written(shelf.store, columns=(), format=OutputFormat.PARQUET)
    assert (stored.format, stored.size_bytes, stored.columns) == (OutputFormat.CSV, 0, ())
    assert await shelf.complete() == [stored.location]


@few_and_many
async def test_a_failed_parquet_output_leaves_nothing(shelf, rows):
    async def breaks():
        yield rows
        raise OSError("the engine went away")

    with pytest.raises(OSError, match="went away"):
        async with new_sink(shelf.store, format=OutputFormat.PARQUET) as sink:
            await sink.write_rows(COLUMNS, breaks())
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)


async def test_parquet_that_would_lack_rows_is_not_stored(shelf):
    with pytest.raises(StorageError, match="not well formed"):
        async with new_sink(shelf.store, format=OutputFormat.PARQUET) as sink:
            await sink.write_csv(b'id,"na,me"\n1,a\n', COLUMNS, row_count=2)
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)
