"""The comparing process as its worker sees it: started, listened to, and stopped."""

import asyncio
import os
import signal
import sys
from asyncio import create_subprocess_exec as create_process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import structlog

from app.domain.errors import UnavailableError
from app.domain.reconciliation.kernels.cache import VARIABLE, is_writable
from app.services.comparison_request import OUT_OF_MEMORY, TOO_LITTLE_MEMORY, ComparisonRequest

REPORT_INTERVAL = 0.25  # seconds between two reports of progress, at least
REPORT_STEP = 0.004  # and of the whole: a comparison of hours tells no more than one of minutes
SLOW_REPORT_INTERVAL = 5.0  # unless the last report was so long ago
STOP_GRACE = 0.3  # seconds to end in order; after that it is killed, and leaves nothing behind all the same
NEWS_LIMIT = 64 * 2**20  # the samples come in one line

Report = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


async def compare_apart(request: ComparisonRequest, *, stop: asyncio.Event, report: Report) -> dict[str, Any]:
    """The last piece of news: `result`, `error` or `cancelled`, the latter soon after `stop` was set.

    Raises: UnavailableError where the process has ended without a word.
    """
    process = await create_process(
        sys.executable,
        "-m",
        "app.services.comparison_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=NEWS_LIMIT,
        start_new_session=True,  # Ctrl-C is for the worker, which ends this process with it
        env=environment(os.environ, spill_dir=Path(request.spill_dir)),
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    stopper = asyncio.create_task(_stop_when(stop, process, process.stdin))
    try:
        process.stdin.write(request.to_line())
        news = await _listen(process.stdout, report)
        await process.wait()
    finally:
        stopper.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not news.keys() & {"result", "error", "cancelled"}:
        if stop.is_set():
            return {"cancelled": True}
        if process.returncode == -signal.SIGABRT and request.memory_limit_bytes is not None:
            # What is written in C++ (LLVM, which loads the kernels) knows no MemoryError.
            return {"error": {"code": OUT_OF_MEMORY, "message": TOO_LITTLE_MEMORY}}
        raise UnavailableError(_without_a_word(process.returncode))
    return news


def environment(parent: Mapping[str, str], *, spill_dir: Path) -> dict[str, str]:
    """The process's own; where there is no other place for compiled kernels, it names one in the folder for spills.

    They are loaded as code: that folder is nobody else's.
    """
    variables = dict(parent)
    if not is_writable():
        kernels = spill_dir / "kernels"
        kernels.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kernels.stat().st_uid == os.geteuid():
            variables.setdefault(VARIABLE, str(kernels))
    return variables


async def _listen(news: asyncio.StreamReader, report: Report) -> dict[str, Any]:
    """Pass progress on, as far as it is worth an event; gives the last piece of news."""
    last: dict[str, Any] = {}
    told, told_at = 0.0, -SLOW_REPORT_INTERVAL
    async for line in news:
        last = orjson.loads(line)
        if last.get("compiling") == 0.0:
            log.info("comparison.compiling", reason="its native code is made for this machine, once")
        share, waited = last.get("progress", 0.0), monotonic() - told_at
        due = waited >= REPORT_INTERVAL and share - told >= REPORT_STEP
        if due or (waited >= SLOW_REPORT_INTERVAL and share > told):
            told, told_at = share, monotonic()
            await report(share)
    return last


async def _stop_when(stop: asyncio.Event, process: asyncio.subprocess.Process, pipe: asyncio.StreamWriter) -> None:
    await stop.wait()
    with suppress(OSError):
        pipe.close()
    await asyncio.sleep(STOP_GRACE)
    with suppress(ProcessLookupError):
        process.kill()


def _without_a_word(status: int | None) -> str:
    how = f"with status {status}"
    if status is not None and status < 0:
        with suppress(ValueError):
            how = f"by {signal.Signals(-status).name}"
    return (
        f"The comparing process was ended {how} before it had a result, most likely by the system for want of memory: "
        "free memory on the worker's machine, or bound the process by `reconciliation_settings.memory_limit` and lower "
        "`exact_match_threshold`, then run the reconciliation again."
    )
