"""A source that is opened in a thread: told of on the event loop, and ended from there."""

import asyncio
import gzip
import os
from functools import partial
from pathlib import Path

import pytest

from app.outputs.bringing import in_thread
from app.outputs.parts import local_parts
from app.outputs.plain_csv import plain_csv
from tests.outputs.stored_files import Heard, files, open_copies


@pytest.fixture
def opener(tmp_path: Path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\n" + os.urandom(3_000_000).hex().encode(), 1))
    scratch = tmp_path / "scratch"
    return partial(plain_csv, local_parts(path), name="a", delimiter=",", scratch=scratch)


async def test_the_share_is_told_as_it_grows(opener, tmp_path):
    heard = Heard()
    async with in_thread(opener, heard) as file:
        assert file.size_bytes == 6_000_002
        assert open_copies(tmp_path / "scratch") == 1
        assert (heard.shares[0], heard.shares[-1]) == (0.0, 1.0)
        assert heard.shares == sorted(heard.shares)
    assert not file.path.exists()


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_waiting_task_that_is_cancelled_leaves_nothing(opener, tmp_path, share):
    """At the start, where all is still to be brought, and at the end, where nothing is told any more."""
    begun, held = asyncio.Event(), asyncio.Event()
    heard = Heard()

    async def copying(told: float) -> None:
        await heard(told)
        if told >= share:
            begun.set()
            await held.wait()

    async def wait() -> None:
        async with in_thread(opener, copying):
            pytest.fail("nobody waits any more")

    waiting = asyncio.create_task(wait())
    await begun.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    held.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert heard.shares[-1] == share, "nothing more is brought"
    assert files(tmp_path / "scratch") == []
    assert open_copies(tmp_path / "scratch") == 0


async def test_what_the_reader_raises_is_its_own_and_the_copy_is_gone(opener):
    with pytest.raises(ZeroDivisionError):
        async with in_thread(opener, Heard()) as file:
            raise ZeroDivisionError
    assert not file.path.exists()
