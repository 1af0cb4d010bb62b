"""The local store: complete or absent, and read by ranges."""

import asyncio
import errno
import os
import resource
import tracemalloc
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.outputs import scratch
from tests.outputs.stored_files import COLUMNS, batches, content, files, new_sink, written

FEW = [(1, "a")]
MANY = [(number, "x" * 100) for number in range(5_000)]
few_and_many = pytest.mark.parametrize("rows", [FEW, MANY], ids=["few", "many"])


@few_and_many
async def test_nothing_is_seen_before_the_end(store, tmp_path, rows):
    async with new_sink(store) as sink:
        await sink.write_rows(COLUMNS, batches(rows))
        assert len(files(tmp_path)) == (rows is MANY), "a few rows are held"
        assert all(".partial" in path.parts for path in files(tmp_path))
        with pytest.raises(RuntimeError):
            _ = sink.stored
    assert [path.name for path in files(tmp_path)] == ["output.csv"]


async def test_a_finished_file_is_adopted_by_renaming(store, tmp_path):
    made = tmp_path / "made.csv"
    made.write_bytes(b"id\n1\n")
    inode = made.stat().st_ino
    async with new_sink(store) as sink:
        await sink.adopt_csv(made, COLUMNS[:1], row_count=1)
    assert not made.exists()
    assert store.local_path(sink.stored.location).stat().st_ino == inode
    assert (sink.stored.size_bytes, sink.stored.row_count, sink.stored.columns) == (5, 1, COLUMNS[:1])


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


async def test_a_large_file_is_read_in_pieces(store):
    data = os.urandom(1_500_000)
    async with store.open_writer("a/big.bin") as writer:
        await writer.write(data)
    pieces = [piece async for piece in store.open("a/big.bin", offset=1, length=1_400_000)]
    assert b"".join(pieces) == data[1:1_400_001]
    assert max(map(len, pieces)) <= 256 * 1024


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


async def test_what_is_staged_has_no_name_before_it_has_its_place(store, tmp_path):
    """So that a process which is killed leaves nothing behind."""
    async with store.stage("a/b.csv") as path:
        path.write_bytes(b"all of it")
        assert files(tmp_path) == []
    assert [file.name for file in files(tmp_path)] == ["b.csv"]


def no_nameless_files(path, flags, *more, opened=os.open, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "not supported")
    return opened(path, flags, *more, **options)


def no_links(*_, **__):
    raise OSError(errno.EPERM, "not supported")


@pytest.mark.parametrize(("name", "fake"), [("open", no_nameless_files), ("link", no_links)])
async def test_where_the_file_system_can_do_less_staging_clears_up_too(store, tmp_path, monkeypatch, name, fake):
    monkeypatch.setattr(scratch.os, name, fake)
    with suppress(ZeroDivisionError):
        async with store.stage("a/b.csv") as path:
            path.write_bytes(b"half of it")
            raise ZeroDivisionError
    assert files(tmp_path) == []
    async with store.stage("a/b.csv") as path:
        path.write_bytes(b"all of it")
    assert [file.read_bytes() for file in files(tmp_path)] == [b"all of it"]
