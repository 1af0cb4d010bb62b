"""What every output store keeps to: complete or absent, read by ranges, previewed, deleted; in a folder and on S3."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone

import pytest

from app.domain.errors import InvalidError, NotFoundError
from app.domain.outputs import OutputFormat
from tests.outputs.stored_files import (
    COLUMNS,
    FEW,
    MANY,
    PLAYGROUND,
    RUN,
    TASK,
    Heard,
    batches,
    content,
    few_and_many,
    new_file,
    new_sink,
    written,
)


async def test_rows_are_stored_with_their_labels_counts_and_place(shelf):
    stored = await written(shelf.store, [(1, "a"), (2, None)], [(3, "")])
    assert stored.location == f"2026-01-05/{PLAYGROUND}/{RUN}/{TASK}/1/output.csv"
    assert await content(shelf.store, stored.location) == b'id,"na,me"\n1,a\n2,\n3,""\n'
    assert (stored.row_count, stored.size_bytes, stored.columns) == (3, 23, COLUMNS)
    assert (stored.format, stored.delimiter) == (OutputFormat.CSV, ",")
    assert await shelf.store.size(stored.location) == 23


async def test_the_date_of_the_place_is_utc(shelf):
    async with shelf.store.sink(
        started_at=datetime(2026, 1, 6, 0, 30, tzinfo=timezone(timedelta(hours=2))),
        playground_id=PLAYGROUND,
        run_id=RUN,
        task_run_id=TASK,
        attempt=1,
    ) as sink:
        await sink.write_rows((), batches())
    assert sink.stored.location.startswith("2026-01-05/")


async def test_work_without_a_result_set_gives_an_empty_file(shelf):
    stored = await written(shelf.store, columns=())
    assert (stored.row_count, stored.size_bytes, stored.columns) == (0, 0, ())
    preview = await shelf.store.preview(stored.location, format=stored.format, delimiter=",", limit=10)
    assert (preview.columns, preview.rows, preview.truncated) == ((), [], False)


async def test_attempts_do_not_overwrite_each_other(shelf):
    first = await written(shelf.store, [(1, "a")])
    second = await written(shelf.store, [(2, "b")], attempt=2)
    assert await content(shelf.store, first.location) != await content(shelf.store, second.location)


@few_and_many
async def test_an_error_leaves_nothing(shelf, rows):
    async def breaks():
        yield rows
        raise OSError("the engine went away")

    with pytest.raises(OSError, match="went away"):
        async with new_sink(shelf.store) as sink:
            await sink.write_rows(COLUMNS, breaks())
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)


@few_and_many
async def test_a_failed_attempt_does_not_touch_what_is_there(shelf, rows):
    stored = await written(shelf.store, [(1, "a")])
    before = await content(shelf.store, stored.location)

    async def fails_late() -> None:
        async with new_sink(shelf.store) as sink:
            await sink.write_rows(COLUMNS, batches(rows))
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await fails_late()
    assert await content(shelf.store, stored.location) == before


async def test_a_cancelled_task_leaves_nothing(shelf):
    started = asyncio.Event()

    async def endless():
        while True:
            yield [(1, "a")]
            started.set()

    async def write() -> None:
        async with new_sink(shelf.store) as sink:
            await sink.write_rows(COLUMNS, endless())

    task = asyncio.create_task(write())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)


async def test_a_sink_that_got_nothing_is_an_error_and_stores_nothing(shelf):
    with pytest.raises(RuntimeError, match="no output"):
        async with new_sink(shelf.store):
            pass
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)


async def test_a_finished_text_is_stored_as_it_is(shelf):
    async with new_sink(shelf.store) as sink:
        await sink.write_csv(b"id\n1\n", COLUMNS[:1], row_count=1)
        assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)
    assert await content(shelf.store, sink.stored.location) == b"id\n1\n"
    assert (sink.stored.size_bytes, sink.stored.row_count, sink.stored.columns) == (5, 1, COLUMNS[:1])


async def test_records_in_pieces_get_their_header_and_are_counted(shelf):
    records = b'1,"two\nlines"\n2,"a ""word"""\n' * 20_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(records), 1_001):
            yield records[start : start + 1_001]

    async with new_sink(shelf.store) as sink:
        await sink.write_records(COLUMNS, pieces())
    assert await content(shelf.store, sink.stored.location) == b'id,"na,me"\n' + records
    assert sink.stored.row_count == 40_000


async def test_a_wrong_delimiter_is_refused_at_the_door(shelf):
    with pytest.raises(InvalidError, match="delimiter"):
        async with new_sink(shelf.store, delimiter="-"):
            pass


async def test_an_artefact_is_written_in_pieces_and_appears_whole(shelf):
    async with shelf.store.open_writer("differences/1/differences.csv") as writer:
        await writer.write(b"a,")
        await writer.write(b"b\n")
        assert await shelf.complete() == []
    assert writer.size_bytes == 4
    assert await content(shelf.store, writer.location) == b"a,b\n"


async def test_a_broken_artefact_leaves_nothing(shelf):
    async def breaks() -> None:
        async with shelf.store.open_writer("differences/1/differences.csv") as writer:
            await writer.write(b"a,")
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await breaks()
    assert (await shelf.complete(), await shelf.unfinished()) == ([], 0)


async def test_a_staged_file_may_be_written_by_anybody(shelf):
    async with shelf.store.stage("differences/2/differences.csv") as path:
        await asyncio.to_thread(path.write_bytes, b"x")
    assert await content(shelf.store, "differences/2/differences.csv") == b"x"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 100, b"89"), (100, 5, b""), (0, 0, b"")],
)
async def test_ranges_are_read(shelf, offset, length, expected):
    async with shelf.store.open_writer("a/b.txt") as writer:
        await writer.write(b"0123456789")
    assert await content(shelf.store, "a/b.txt", offset=offset, length=length) == expected


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
async def test_a_range_before_the_start_is_refused(shelf, offset, length):
    stored = await written(shelf.store, [(1, "a")])
    with pytest.raises(InvalidError):
        await content(shelf.store, stored.location, offset=offset, length=length)


@few_and_many
async def test_nothing_is_seen_before_the_end(shelf, rows):
    async with new_sink(shelf.store) as sink:
        await sink.write_rows(COLUMNS, batches(rows))
        assert await shelf.complete() == []
        assert await shelf.unfinished() == (rows is MANY), "a few rows are held"
        with pytest.raises(RuntimeError):
            _ = sink.stored
    assert await shelf.complete() == [sink.stored.location]
    assert await shelf.unfinished() == 0


@few_and_many
async def test_the_whole_is_read_back(shelf, rows):
    stored = await written(shelf.store, rows)
    text = await content(shelf.store, stored.location)
    assert text == b'id,"na,me"\n' + b"".join(b"%d,%s\n" % (number, cell.encode()) for number, cell in rows)
    assert stored.size_bytes == len(text) == await shelf.store.size(stored.location)


async def test_a_finished_file_is_adopted(shelf, tmp_path):
    made = new_file(tmp_path, b"id\n1\n")
    async with new_sink(shelf.store) as sink:
        await sink.adopt_csv(made, COLUMNS[:1], row_count=1)
        made.parent.rmdir()  # as engines remove the folder of what has ended
    assert await content(shelf.store, sink.stored.location) == b"id\n1\n"
    assert (sink.stored.size_bytes, sink.stored.row_count, sink.stored.columns) == (5, 1, COLUMNS[:1])


async def test_a_range_far_inside_a_large_file_is_read(shelf):
    stored = await written(shelf.store, MANY)
    whole = await content(shelf.store, stored.location)
    assert await content(shelf.store, stored.location, offset=9_000_001, length=777_777) == whole[9_000_001:9_777_778]


async def test_another_content_has_another_version(shelf):
    first = await shelf.store.facts((await written(shelf.store, [(1, "a")])).location)
    again = await shelf.store.facts((await written(shelf.store, [(1, "b")])).location)
    assert first.size_bytes == again.size_bytes
    assert first.version != again.version


async def test_what_is_not_there_is_not_found(shelf):
    stored = await written(shelf.store, FEW)
    for location in ("2026-01-05/none.csv", "2026-01-05", f"{stored.location}/deeper"):
        with pytest.raises(NotFoundError):
            await shelf.store.size(location)
        with pytest.raises(NotFoundError):
            await content(shelf.store, location)
        with pytest.raises(NotFoundError):
            await content(shelf.store, location, length=0)
        for kind in OutputFormat:
            with pytest.raises(NotFoundError):
                await shelf.store.preview(location, format=kind, delimiter=",", limit=1)
            with pytest.raises(NotFoundError):
                async with shelf.store.csv_file(location, format=kind, delimiter=",", copying=Heard()):
                    pass


@pytest.mark.parametrize("location", ["", "/etc/passwd", "../secret", "a/../b", "a//b", ".partial/x", "a b"])
async def test_what_is_no_location_is_refused_by_every_door(shelf, location):
    async def write() -> None:
        async with shelf.store.open_writer(location) as writer:
            await writer.write(b"x")

    for door in (
        shelf.store.size(location),
        content(shelf.store, location),
        shelf.store.preview(location, format=OutputFormat.CSV, delimiter=",", limit=1),
        shelf.store.delete(location),
        write(),
    ):
        with pytest.raises(InvalidError):
            await door
    with pytest.raises(InvalidError):
        shelf.store.uri(location)
    assert await shelf.complete() == []


async def test_delete_removes_a_file_or_a_folder_with_nothing_beside_it_and_may_be_repeated(shelf):
    first = await written(shelf.store, FEW)
    for attempt in range(2, 8):  # more than a page of a listing
        await written(shelf.store, FEW, attempt=attempt)
    async with shelf.store.open_writer("2026-01-05x/beside.csv") as writer:
        await writer.write(b"x")
    await shelf.store.delete(first.location)
    await shelf.store.delete(first.location)
    assert len(await shelf.complete()) == 7
    await shelf.store.delete("2026-01-05")
    await shelf.store.delete("2026-01-05")
    assert await shelf.complete() == ["2026-01-05x/beside.csv"]


async def test_nothing_that_is_being_written_is_discarded(shelf):
    async with new_sink(shelf.store) as sink:
        await sink.write_rows(COLUMNS, batches(MANY))
        # Decades, for moto dates all uploads back to the year 2010.
        assert await shelf.store.discard_partial(older_than=timedelta(days=20_000)) == 0
    assert sink.stored.row_count == len(MANY)


async def test_a_preview_shows_the_first_rows_and_tells_null_from_the_empty_string(shelf):
    stored = await written(shelf.store, [(1, None), (2, ""), (3, "x\ny"), (4, "é")])
    table = await shelf.store.preview(stored.location, format=OutputFormat.CSV, delimiter=",", limit=3)
    assert table.columns == ("id", "na,me")
    assert table.rows == [["1", None], ["2", ""], ["3", "x\ny"]]
    assert table.truncated
    table = await shelf.store.preview(stored.location, format=OutputFormat.CSV, delimiter=",", limit=4)
    assert not table.truncated


async def test_a_csv_output_is_read_as_a_file_of_this_machine(shelf):
    stored = await written(shelf.store, MANY)
    heard = Heard()
    async with shelf.store.csv_file(stored.location, format=stored.format, delimiter=",", copying=heard) as path:
        assert path.read_bytes() == await content(shelf.store, stored.location)
        assert path.stat().st_size == stored.size_bytes
    assert heard.shares == sorted(heard.shares)
    assert await shelf.unfinished() == 0


async def test_a_copy_ends_when_its_reader_wants_it_no_more(s3_store):
    async def stopped(_share: float) -> None:
        raise ConnectionAbortedError

    stored = await written(s3_store, MANY)
    with pytest.raises(ConnectionAbortedError):
        async with s3_store.csv_file(stored.location, format=stored.format, delimiter=",", copying=stopped):
            pass


@pytest.mark.parametrize("format_", list(OutputFormat))
async def test_an_output_is_a_file_as_it_is_and_a_copy_is_gone_after(shelf, format_):
    stored = await written(shelf.store, FEW, format=format_)
    async with shelf.store.file(stored.location) as path:
        assert await asyncio.to_thread(path.read_bytes) == await content(shelf.store, stored.location)
    assert await shelf.unfinished() == 0
    with pytest.raises(NotFoundError):
        async with shelf.store.file(f"{stored.location}.not"):
            pass
