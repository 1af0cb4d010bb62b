"""The local store: complete or absent, and read by ranges."""

import asyncio
import errno
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.outputs import OutputFormat
from tests.outputs.stored_files import COLUMNS, batches, content, files, new_sink, open_copies, written

FEW = [(1, "a")]
MANY = [(number, "x" * 100) for number in range(5_000)]
few_and_many = pytest.mark.parametrize("rows", [FEW, MANY], ids=["few", "many"])


@few_and_many
async def test_nothing_is_seen_before_the_end(store, tmp_path, rows):
    async with new_sink(store) as sink:
        await sink.write_rows(COLUMNS, batches(rows))
        assert open_copies(tmp_path / "outputs" / ".partial") == (rows is MANY), "a few rows are held"
        assert files(tmp_path) == []
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


async def test_bytes_are_on_the_disk_before_they_have_their_name(store, tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("synced"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("named"), replace(self, target))[1])
    link = os.link
    monkeypatch.setattr(os, "link", lambda *names, **how: (order.append("named"), link(*names, **how))[1])
    await written(store, FEW)
    await written(store, MANY, attempt=2)
    async with store.open_writer("a/b.txt") as writer:
        await writer.write(b"x")
    async with store.stage("a/c.txt") as path:
        path.write_bytes(b"x")
    assert order == ["synced", "named"] * 4
    (tmp_path / "made.csv").write_bytes(b"id\n1\n")
    async with new_sink(store, attempt=3) as sink:
        await sink.adopt_csv(tmp_path / "made.csv", COLUMNS[:1], row_count=1)
    assert order[8:] == ["synced", "named"] * 2


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


@pytest.mark.parametrize("format", OutputFormat)
@pytest.mark.parametrize("count", [1_000, 5_000], ids=["held", "in a file"])
async def test_a_full_disk_leaves_nothing(store, tmp_path, count, format):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # Python ignores SIGXFSZ: writing fails with EFBIG
    try:
        with pytest.raises(OSError, match="too large"):
            await written(store, [(number, "x" * 100) for number in range(count)], format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == []


WRITES = """
import asyncio, os, sys, time
from pathlib import Path
from app.outputs.local import LocalOutputStore
from tests.outputs.stored_files import COLUMNS, batches, new_sink, written

def never(_):
    print("bringing it to the disk", flush=True)
    time.sleep(60)

async def write():
    store = LocalOutputStore(root=Path(sys.argv[1]) / "outputs")
    async with new_sink(store) as sink:
        await sink.write_rows(COLUMNS, batches([(number, "x" * 100) for number in range(5_000)]))
        os.fsync = never
        await written(store, [(1, "a")], attempt=2)

asyncio.run(write())
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "bringing it to the disk\n"
    finally:
        process.kill()
        process.communicate()
    assert files(tmp_path) == []


class Late:
    """In place of asyncio.to_thread: the work begins when its caller has gone, as on a machine that is busy."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self._go = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=1)

    async def __call__(self, work, *args, **kwargs):
        running = self._threads.submit(lambda: (self._go.wait(10), work(*args, **kwargs))[1])
        self.called.set()
        return await asyncio.wrap_future(running)

    async def catch_up(self) -> None:
        self._go.set()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)


async def adopts(sink, made):
    await sink.adopt_csv(made, COLUMNS[:1], row_count=1)


async def takes_many(sink, _made):
    async def pieces():
        yield b"1\n" * 500_000

    await sink.write_records(COLUMNS[:1], pieces())


async def takes_few(sink, _made):
    await sink.write_csv(b"id\n1\n", COLUMNS[:1], row_count=1)


@pytest.mark.parametrize("format", OutputFormat)
@pytest.mark.parametrize("bring", [adopts, takes_many, takes_few])
async def test_a_thread_that_comes_after_its_task_was_cancelled_leaves_nothing(
    store, tmp_path, monkeypatch, bring, format
):
    made = tmp_path / "made.csv"
    made.write_bytes(b"id\n1\n")

    async def fill() -> None:
        async with new_sink(store, format=format) as sink:
            await bring(sink, made)

    late = Late()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "to_thread", late)
        task = asyncio.create_task(fill())
        await late.called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await late.catch_up()
    assert files(tmp_path) == [made]
    assert open_copies(tmp_path) == 0


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
    monkeypatch.setattr(os, name, fake)
    with suppress(ZeroDivisionError):
        async with store.stage("a/b.csv") as path:
            path.write_bytes(b"half of it")
            raise ZeroDivisionError
    assert files(tmp_path) == []
    async with store.stage("a/b.csv") as path:
        path.write_bytes(b"all of it")
    assert [file.read_bytes() for file in files(tmp_path)] == [b"all of it"]
    stored = await written(store, MANY)
    await written(store, MANY)  # in the place of what is there
    assert sorted(file.name for file in files(tmp_path)) == ["b.csv", "output.csv"]
    assert await store.size(stored.location) == stored.size_bytes > 500_000
