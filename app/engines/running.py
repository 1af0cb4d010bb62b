"""Work that a task of this process looks after: its state, its log, its time limit, and how it is stopped."""

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from app.engines.base import EngineError, EngineLogLine, Poll, TerminalEngineError, TransientEngineError, WorkState

log = logging.getLogger(__name__)

_MOST_LINES = 10_000  # that wait to be polled; what says more loses some


class RunningWork(ABC):
    """Begins at once. `noun` is what messages call it, such as "query"."""

    def __init__(self, *, noun: str, limit: timedelta | None) -> None:
        self.state = WorkState.RUNNING
        self.noun = noun
        self.error: EngineError | None = None
        self._progress: float | None = None
        self._log: list[EngineLogLine] = []
        self._news = asyncio.Event()
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        if limit is not None:
            self._timer = asyncio.get_running_loop().call_later(limit.total_seconds(), self._time_out, limit)
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(self._settle)

    @abstractmethod
    async def _work(self) -> None:
        """Do it all. Raises: EngineError, and OSError where this machine lacks something."""

    @abstractmethod
    async def _halt(self) -> None:
        """Make `_work` end soon, and what it began elsewhere; it is called once at most."""

    @abstractmethod
    async def discard(self) -> None:
        """Let go of the output, and of whatever else is kept for it."""

    async def poll(self, wait: timedelta) -> Poll:
        if self.state is WorkState.RUNNING and not self._log:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self._news.wait()
        self._news.clear()
        lines, self._log = self._log, []
        return Poll(state=self.state, error=self.error, progress=self._progress, log=lines)

    async def stop(self, error: EngineError | None = None) -> None:
        """Stop it; without an error it counts as cancelled."""
        if self.state is not WorkState.RUNNING or self._stopped:
            return
        self._stopped = True
        self.error = error
        await self._halt()

    def say(self, text: str, stream: str = "engine") -> None:
        if len(self._log) < _MOST_LINES:
            self._log.append(EngineLogLine(at=datetime.now(UTC), stream=stream, text=text))
        elif len(self._log) == _MOST_LINES:
            self._log.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text="… lines are left out here"))
        self._news.set()

    def check_succeeded(self) -> None:
        """Raises: EngineError where there is no output to fetch."""
        if self.state is not WorkState.SUCCEEDED:
            raise self.error or TerminalEngineError(f"The {self.noun} has not succeeded.", code="CANCELLED")

    async def _run(self) -> None:
        try:
            await self._work()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        except EngineError as error:
            if not self._stopped:
                self.error = error
        except OSError as error:
            if not self._stopped:
                self.error = TransientEngineError(f"The {self.noun} could not be run: {error}", code="CRASHED")
        if self.error is None and not self._stopped:
            self._end(WorkState.SUCCEEDED)
            return
        self._end(WorkState.CANCELLED if self.error is None else WorkState.FAILED)
        await self.discard()

    def _settle(self, task: asyncio.Task[None]) -> None:
        """End work whose task ended by a fault of this code, or was cancelled before its first step."""
        if self.state is not WorkState.RUNNING:
            return
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            log.error("Running a %s failed in an unforeseen way", self.noun, exc_info=fault)
            self.error = TerminalEngineError(
                f"The {self.noun} failed in an unforeseen way; the server's log tells more.", code="INTERNAL"
            )
        self._end(WorkState.CANCELLED if self.error is None else WorkState.FAILED)
        self._stopping = asyncio.create_task(self._clear_up())

    async def _clear_up(self) -> None:
        if not self._stopped:
            await self._halt()
        await self.discard()

    def _end(self, state: WorkState) -> None:
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
        self._news.set()

    def _time_out(self, limit: timedelta) -> None:
        seconds = limit.total_seconds()
        error = TerminalEngineError(
            f"The {self.noun} was stopped after its time limit of {seconds:g} s.", code="TIMEOUT"
        )
        self._stopping = asyncio.create_task(self.stop(error))
