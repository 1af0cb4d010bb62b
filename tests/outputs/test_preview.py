"""The first rows of a stored output, whatever its size, its bytes and its format."""

import duckdb
import pytest

from app.domain.errors import InvalidError
from app.domain.outputs import OutputFormat


async def preview(store, text: str, *, limit: int = 10, delimiter: str = ","):
    async with store.open_writer("a/output.csv") as writer:
        await writer.write(text.encode())
    return await store.preview("a/output.csv", format=OutputFormat.CSV, delimiter=delimiter, limit=limit)


async def test_a_preview_tells_null_from_the_empty_string_and_keeps_line_breaks(store):
    shown = await preview(store, 'a;b\n"x\ny";\n"";"q""q"\n', delimiter=";")
    assert (shown.columns, shown.truncated) == (("a", "b"), False)
    assert shown.rows == [["x\ny", None], ["", 'q"q']]


@pytest.mark.parametrize(("limit", "shown", "truncated"), [(1, 1, True), (2, 2, True), (3, 3, False), (4, 3, False)])
async def test_a_preview_says_whether_there_is_more(store, limit, shown, truncated):
    table = await preview(store, "n\n1\n2\n3\n", limit=limit)
    assert [row[0] for row in table.rows] == ["1", "2", "3"][:shown]
    assert table.truncated is truncated


async def test_a_preview_wants_a_row_at_least(store):
    with pytest.raises(InvalidError, match="one row"):
        await preview(store, "a\n1\n", limit=0)


async def test_a_preview_reads_the_start_of_the_file_only(store, tmp_path):
    path = tmp_path / "outputs" / "sparse" / "output.csv"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"n\n" + b"1\n" * 200)
        file.truncate(50 * 1024**3)  # reading it whole would take minutes
    table = await store.preview("sparse/output.csv", format=OutputFormat.CSV, delimiter=",", limit=100)
    assert (len(table.rows), table.truncated) == (100, True)


@pytest.mark.parametrize("row", ["x" * 1_500_000 + "\n", '"' + "x\n" * 750_000 + '"\n'])
async def test_rows_of_huge_cells_shorten_the_preview(store, row):
    table = await preview(store, "n\n" + row * 5)
    assert [len(cells[0] or "") for cells in table.rows] == [1_500_000] * 2
    assert table.truncated


async def test_a_header_without_end_is_told(store):
    with pytest.raises(InvalidError, match="header"):
        await preview(store, "n" * 5_000_000)


async def test_a_preview_of_wrong_bytes_is_no_error(store):
    async with store.open_writer("a/output.csv") as writer:
        await writer.write(b"n\n\xff\xfe\n")
    table = await store.preview("a/output.csv", format=OutputFormat.CSV, delimiter=",", limit=5)
    assert table.rows == [["\ufffd\ufffd"]]


async def test_parquet_is_previewed_by_the_same_rules(store):
    rows = (
        "SELECT * FROM (VALUES (1, 'a', DATE '2026-01-05', {'k': [1.5]}, TRUE), (2, '', NULL, NULL, NULL),"
        " (3, NULL, NULL, NULL, NULL)) t(i, s, d, j, b) ORDER BY i"
    )
    async with store.stage("a/output.parquet") as path:  # a file without a name has no folder for DuckDB's own copy
        duckdb.sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet, USE_TMP_FILE false)")
    table = await store.preview("a/output.parquet", format=OutputFormat.PARQUET, delimiter="", limit=2)
    assert table.columns == ("i", "s", "d", "j", "b")
    assert table.rows == [["1", "a", "2026-01-05", '{"k":[1.5]}', "true"], ["2", "", None, None, None]]
    assert table.truncated


async def test_what_is_no_parquet_is_told(store):
    async with store.open_writer("a/output.parquet") as writer:
        await writer.write(b"not parquet")
    with pytest.raises(InvalidError, match="Parquet"):
        await store.preview("a/output.parquet", format=OutputFormat.PARQUET, delimiter="", limit=2)
