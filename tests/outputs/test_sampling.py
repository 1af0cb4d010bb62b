"""Samples: the whole of a small output, rows from all over a large one, and nothing read wrong in between."""

import os
from itertools import pairwise

import duckdb
import pytest

from app.domain.errors import InvalidError, NotFoundError
from app.domain.outputs import OutputFormat
from app.outputs.sampling import ROWS, sample_csv, sample_file, sample_parquet
from tests.outputs.stored_files import written

ROW = b'%d,"text, with\na line break",%s\n'
MANY = b"id,text,other\n" + b"".join(ROW % (number, b"x" * (number % 90)) for number in range(40_000))


def sampled(data: bytes):
    read: list[int] = []

    def piece(start: int, end: int) -> bytes:
        read.append(end - start)
        return data[start:end]

    return sample_csv(piece, size_bytes=len(data), delimiter=","), sum(read)


def test_a_small_table_is_its_own_sample():
    sample, _ = sampled(b'\xef\xbb\xbfid,name\r\n1,a\r\n\r\n2,""\r\n3,')
    assert (sample.columns, sample.whole) == (("id", "name"), True)
    assert [list(row) for row in sample.rows] == [["1", "a"], ["2", ""], ["3", None]]


def test_a_large_table_is_sampled_from_all_over_it_for_a_megabyte():
    sample, read = sampled(MANY)
    ids = [int(row[0] or "") for row in sample.rows]
    assert read <= 2**20
    assert not sample.whole
    assert ids == sorted(set(ids))
    assert ids[0] == 0
    assert ids[-1] == 39_999
    assert max(second - first for first, second in pairwise(ids)) < 40_000 / 6
    assert all(row[1] == "text, with\na line break" for row in sample.rows)


def test_narrow_rows_are_as_many_as_tell_something():
    for rows in (100_000, 700_000):
        sample, _ = sampled(b"a\n" + b"1\n" * rows)
        assert ROWS - 20 < len(sample.rows) <= ROWS
        assert not sample.whole


def test_what_is_no_table_is_refused():
    for data in (b"", b'a,"b\n', b"x" * 2**21):
        with pytest.raises(InvalidError):
            sampled(data)


def test_a_file_of_this_machine_is_sampled(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a;b\n1;2\n")
    assert list(sample_file(path, delimiter=";").rows) == [["1", "2"]]


def test_parquet_is_sampled_from_several_places(tmp_path):
    path = tmp_path / "a.parquet"
    duckdb.sql("SELECT i AS id, '' AS text FROM range(100000) r(i)").write_parquet(str(path), row_group_size=2_048)
    sample = sample_parquet(path)
    ids = [int(row[0]) for row in sample.rows]
    assert (len(ids), ids[0], ids[-1], sample.whole) == (4_000, 0, 99_999, False)
    assert ids == sorted(set(ids))
    assert {row[1] for row in sample.rows} == {""}


@pytest.mark.parametrize("format", OutputFormat)
async def test_outputs_of_every_store_are_sampled(shelf, format):
    stored = await written(shelf.store, [(number, os.urandom(8).hex()) for number in range(3_000)], format=format)
    sample = await shelf.store.sample(stored.location, format=stored.format, delimiter=stored.delimiter)
    assert sample.columns == ("id", "na,me")
    assert [row[0] for row in sample.rows[:1_000]] == [str(number) for number in range(1_000)]
    assert sample.whole == (len(sample.rows) == 3_000)
    assert await shelf.unfinished() == 0
    await shelf.store.delete(stored.location)
    with pytest.raises(NotFoundError):
        await shelf.store.sample(stored.location, format=stored.format, delimiter=",")


async def test_an_output_without_columns_gives_no_sample(shelf):
    stored = await written(shelf.store, columns=())
    with pytest.raises(InvalidError, match="no header"):
        await shelf.store.sample(stored.location, format=stored.format, delimiter=",")
