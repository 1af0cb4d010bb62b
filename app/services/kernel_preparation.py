"""Having the native code of comparisons compiled before somebody waits for it."""

import asyncio
import os
from asyncio import create_subprocess_exec as create_process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from app.domain.reconciliation.kernels.cache import ASIDE, BUILD, is_filled
from app.services.comparer import environment

log = structlog.get_logger()


@asynccontextmanager
async def kernels_prepared(*, spill_dir: Path) -> AsyncIterator[None]:
    """Begins it where this machine has none, behind everybody else; what is not done at the block's end is given up."""
    if is_filled():
        yield
        return
    log.info("kernels.compiling", reason="comparisons of many rows need native code, made once for this machine")
    process = await create_process(
        *BUILD,
        ASIDE,
        stdin=asyncio.subprocess.PIPE,  # held open: the process ends where this one does
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,  # who needs the code tells what is wrong
        start_new_session=True,  # Ctrl-C is for this process
        env=environment(os.environ, spill_dir=spill_dir),
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
