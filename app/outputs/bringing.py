"""A source opened in a thread, for who must not block: its bytes are told to the event loop, which may end it."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from threading import Event
from typing import Protocol

from app.outputs.base import Copying
from app.outputs.joining import Heard
from app.outputs.plain_csv import CsvFile


class Opener(Protocol):
    def __call__(self, *, heard: Heard) -> AbstractContextManager[CsvFile]: ...


class _LeftError(Exception):
    """Nobody waits for the file any more."""


@asynccontextmanager
async def in_thread(open_: Opener, copying: Copying) -> AsyncIterator[CsvFile]:
    """The file, brought in a thread; an error of `copying` ends that, and so does who waits when cancelled."""
    loop, left = asyncio.get_running_loop(), Event()

    def heard(done: int, total: int | None) -> None:
        if left.is_set():
            raise _LeftError
        asyncio.run_coroutine_threadsafe(_tell(copying, done / total if total else 0.0), loop).result()

    context = open_(heard=heard)
    # A thread of its own: those that all share may be wanted by `copying`, which it waits for.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="source")
    entering = loop.run_in_executor(thread, context.__enter__)
    thread.shutdown(wait=False)
    try:
        file = await asyncio.shield(entering)
    except asyncio.CancelledError:
        left.set()
        await asyncio.wait([entering])  # at the next bytes it is over
        if entering.exception() is None:
            context.__exit__(None, None, None)
        raise
    try:
        yield file
    finally:
        context.__exit__(None, None, None)


async def _tell(copying: Copying, share: float) -> None:
    await copying(share)
