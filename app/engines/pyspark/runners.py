"""Runners of PySpark scripts, of which one may be kept warm for the next script."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from app.engines.base import EngineError
from app.engines.pyspark.process import Remote, RunnerProcess

_SPARE_LIVES = timedelta(minutes=10)


class Runners:
    """Starts runners, and keeps one warm where that is wanted; each gets the address that `remote` gives it."""

    def __init__(self, *, home: Path, spare: bool, remote: Callable[[], Awaitable[Remote]] | None = None) -> None:
        self._remote = remote
        self._home = home
        self._wants_spare = spare
        self._spare: RunnerProcess | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def take(self, folder: Path) -> RunnerProcess:  # noqa: ARG002 - it is told the folder later
        if self._refilling is not None:
            await self._refilling  # a runner that warms up already is warm sooner than another
        spare, self._spare = self._spare, None
        if spare is not None and spare.alive:
            return spare
        return await self._start()

    def refill(self) -> None:
        """Start a spare in the background; not while a script is running, which it would slow down."""
        if self._wants_spare and self._spare is None and self._refilling is None:
            self._refilling = asyncio.create_task(self._refill())

    async def close(self) -> None:
        self._wants_spare = False
        if self._expiry is not None:
            self._expiry.cancel()
        if self._refilling is not None:
            await self._refilling
        if self._spare is not None:
            await self._spare.discard()

    async def _refill(self) -> None:
        try:
            self._spare = await self._start()
        except (OSError, EngineError):
            self._spare = None  # the next script starts its own, and says what is wrong
        finally:
            self._refilling = None
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(_SPARE_LIVES.total_seconds(), self._expire)

    def _expire(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            self._refilling = asyncio.create_task(self._discard(spare))

    async def _discard(self, spare: RunnerProcess) -> None:
        await spare.discard()
        self._refilling = None

    async def _start(self) -> RunnerProcess:
        await asyncio.to_thread(self._home.mkdir, parents=True, exist_ok=True)
        remote = None if self._remote is None else await self._remote()
        return await RunnerProcess.warm(self._home, remote=remote)
