"""The local store: complete or absent, and read by ranges."""

import asyncio
import os
import resource
import tracemalloc
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.errors import InvalidError
from app.domain.outputs import OutputFormat
from tests.outputs.stored_files import COLUMNS, PLAYGROUND, RUN, TASK, batches, content, files, new_sink, written

FEW = [(1, "a")]
MANY = [(number, "x" * 100) for number in range(5_000)]
few_and_many = pytest.mark.parametrize("rows", [FEW, MANY], ids=["few", "many"])


async def test_rows_are_stored_with_their_labels_counts_and_place(store):
    stored = await written(store, [(1, "a"), (2, None)], [(3, "")])
    assert stored.location == f"2026-01-05/{PLAYGROUND}/{RUN}/{TASK}/1/output.csv"
    assert await content(store, stored.location) == b'id,"na,me"\n1,a\n2,\n3,""\n'
    assert (stored.row_count, stored.size_bytes, stored.columns) == (3, 23, COLUMNS)
    assert (stored.format, stored.delimiter) == (OutputFormat.CSV, ",")
    assert await store.size(stored.location) == 23


async def test_the_date_of_the_place_is_utc(store):
    async with store.sink(
        started_at=datetime(2026, 1, 6, 0, 30, tzinfo=timezone(timedelta(hours=2))),
        playground_id=PLAYGROUND,
        run_id=RUN,
        task_run_id=TASK,
        attempt=1,
    ) as sink:
        await sink.write_rows((), batches())
    assert sink.stored.location.startswith("2026-01-05/")


async def test_work_without_a_result_set_gives_an_empty_file(store):
    stored = await written(store, columns=())
    assert (stored.row_count, stored.size_bytes, stored.columns) == (0, 0, ())
    preview = await store.preview(stored.location, format=stored.format, delimiter=",", limit=10)
    assert (preview.columns, preview.rows, preview.truncated) == ((), [], False)


async def test_attempts_do_not_overwrite_each_other(store):
    first = await written(store, [(1, "a")])
    second = await written(store, [(2, "b")], attempt=2)
    assert await content(store, first.location) != await content(store, second.location)


@few_and_many
async def test_nothing_is_seen_before_the_end(store, tmp_path, rows):
    async with new_sink(store) as sink:
        await sink.write_rows(COLUMNS, batches(rows))
        assert len(files(tmp_path)) == (rows is MANY), "a few rows are held"
        assert all(".partial" in path.parts for path in files(tmp_path))
        with pytest.raises(RuntimeError):
            _ = sink.stored
    assert [path.name for path in files(tmp_path)] == ["output.csv"]


@few_and_many
async def test_an_error_leaves_nothing(store, tmp_path, rows):
    async def breaks():
        yield rows
        raise OSError("the engine went away")

    with pytest.raises(OSError, match="went away"):
        async with new_sink(store) as sink:
            await sink.write_rows(COLUMNS, breaks())
    assert files(tmp_path) == []


@few_and_many
async def test_a_failed_attempt_does_not_touch_what_is_there(store, rows):
    stored = await written(store, [(1, "a")])
    before = await content(store, stored.location)

    async def fails_late() -> None:
        async with new_sink(store) as sink:
            await sink.write_rows(COLUMNS, batches(rows))
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await fails_late()
    assert await content(store, stored.location) == before


async def test_a_cancelled_task_leaves_nothing(store, tmp_path):
    started = asyncio.Event()

    async def endless():
        while True:
            yield [(1, "a")]
            started.set()

    async def write() -> None:
        async with new_sink(store) as sink:
            await sink.write_rows(COLUMNS, endless())

    task = asyncio.create_task(write())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


async def test_a_sink_that_got_nothing_is_an_error_and_stores_nothing(store, tmp_path):
    with pytest.raises(RuntimeError, match="no output"):
        async with new_sink(store):
            pass
    assert files(tmp_path) == []


async def test_a_finished_file_is_adopted_by_renaming(store, tmp_path):
    made = tmp_path / "made.csv"
    made.write_bytes(b"id\n1\n")
    inode = made.stat().st_ino
    async with new_sink(store) as sink:
        await sink.adopt_csv(made, COLUMNS[:1], row_count=1)
    assert not made.exists()
    assert store.local_path(sink.stored.location).stat().st_ino == inode
    assert (sink.stored.size_bytes, sink.stored.row_count, sink.stored.columns) == (5, 1, COLUMNS[:1])


async def test_a_finished_text_is_stored_as_it_is(store, tmp_path):
    async with new_sink(store) as sink:
        await sink.write_csv(b"id\n1\n", COLUMNS[:1], row_count=1)
        assert files(tmp_path) == []
    assert await content(store, sink.stored.location) == b"id\n1\n"
    assert (sink.stored.size_bytes, sink.stored.row_count, sink.stored.columns) == (5, 1, COLUMNS[:1])


async def test_records_in_pieces_get_their_header_and_are_counted(store):
    records = b'1,"two\nlines"\n2,"a ""word"""\n' * 20_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(records), 1_001):
            yield records[start : start + 1_001]

    async with new_sink(store) as sink:
        await sink.write_records(COLUMNS, pieces())
    assert await content(store, sink.stored.location) == b'id,"na,me"\n' + records
    assert sink.stored.row_count == 40_000


async def test_bytes_are_on_the_disk_before_they_have_their_name(store, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("synced"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("named"), replace(self, target))[1])
    await written(store, FEW)
    await written(store, MANY, attempt=2)
    async with store.open_writer("a/b.txt") as writer:
        await writer.write(b"x")
    assert order == ["synced", "named"] * 3


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == Path("/tmp").stat().st_dev,  # noqa: S108 - a second file system is wanted
    reason="needs a second file system",
)
async def test_a_file_of_another_file_system_is_adopted_too(store):
    made = Path("/dev/shm") / f"{uuid4()}.csv"  # noqa: S108 - a second file system is wanted
    made.write_bytes(b"id\n1\n")
    async with new_sink(store) as sink:
        await sink.adopt_csv(made, COLUMNS[:1], row_count=1)
    assert not made.exists()
    assert await content(store, sink.stored.location) == b"id\n1\n"


async def test_a_wrong_delimiter_is_refused_at_the_door(store):
    with pytest.raises(InvalidError, match="delimiter"):
        async with new_sink(store, delimiter="-"):
            pass


async def test_a_large_output_is_streamed_in_bounded_memory(store):
    async def many():
        for start in range(0, 300_000, 20_000):
            yield [(number, "some text that fills the row") for number in range(start, start + 20_000)]

    tracemalloc.start()
    try:
        async with new_sink(store) as sink:
            await sink.write_rows(COLUMNS, many())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.stored.row_count == 300_000
    assert sink.stored.size_bytes > 10_000_000
    assert peak < 7_000_000


async def test_the_event_loop_lives_while_rows_are_encoded(store):
    late: list[float] = []

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            late.append(loop.time() - before)

    rows = [(number, "x" * 50) for number in range(200_000)]
    heart = asyncio.create_task(beat())
    await written(store, rows)
    heart.cancel()
    assert len(late) > 5


async def test_an_artefact_is_written_in_pieces_and_appears_whole(store, tmp_path):
    async with store.open_writer("differences/1/differences.csv") as writer:
        await writer.write(b"a,")
        await writer.write(b"b\n")
        assert all(".partial" in path.parts for path in files(tmp_path))
    assert writer.size_bytes == 4
    assert await content(store, writer.location) == b"a,b\n"


async def test_a_broken_artefact_leaves_nothing(store, tmp_path):
    async def breaks() -> None:
        async with store.open_writer("differences/1/differences.csv") as writer:
            await writer.write(b"a,")
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await breaks()
    assert files(tmp_path) == []


async def test_a_staged_file_may_be_written_by_anybody(store):
    async with store.stage("differences/2/differences.csv") as path:
        await asyncio.to_thread(path.write_bytes, b"x")
    assert await content(store, "differences/2/differences.csv") == b"x"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 100, b"89"), (100, 5, b""), (0, 0, b"")],
)
async def test_ranges_are_read(store, offset, length, expected):
    async with store.open_writer("a/b.txt") as writer:
        await writer.write(b"0123456789")
    assert await content(store, "a/b.txt", offset=offset, length=length) == expected


async def test_a_large_file_is_read_in_pieces(store):
    data = os.urandom(1_500_000)
    async with store.open_writer("a/big.bin") as writer:
        await writer.write(data)
    pieces = [piece async for piece in store.open("a/big.bin", offset=1, length=1_400_000)]
    assert b"".join(pieces) == data[1:1_400_001]
    assert max(map(len, pieces)) <= 256 * 1024


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
async def test_a_range_before_the_start_is_refused(store, offset, length):
    stored = await written(store, [(1, "a")])
    with pytest.raises(InvalidError):
        await content(store, stored.location, offset=offset, length=length)


async def test_only_old_partial_files_are_discarded(store, tmp_path):
    assert await store.discard_partial(older_than=timedelta(hours=1)) == 0
    async with new_sink(store) as sink:
        await sink.write_rows(COLUMNS, batches(MANY))
        old = tmp_path / "outputs" / ".partial" / "left-behind"
        old.write_text("x")
        os.utime(old, (0, 0))
        assert await store.discard_partial(older_than=timedelta(hours=1)) == 1
    assert sink.stored.row_count == len(MANY)


@pytest.mark.parametrize("count", [1_000, 5_000], ids=["held", "in a file"])
async def test_a_full_disk_leaves_nothing(store, tmp_path, count):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # Python ignores SIGXFSZ: writing fails with EFBIG
    try:
        with pytest.raises(OSError, match="too large"):
            await written(store, [(number, "x" * 100) for number in range(count)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == []
