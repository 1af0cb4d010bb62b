"""One attempt at a task on EMR: from its folder over one step, or several, to its outcome."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from app.aws.cluster import StepStatus
from app.aws.errors import AwsError
from app.engines.base import (
    EngineError,
    EngineLogLine,
    Handle,
    Poll,
    TerminalEngineError,
    WorkState,
)
from app.engines.emr.failures import engine_error, engine_errors, lost, step_error
from app.engines.emr.folder import AttemptFolder, Record
from app.engines.emr.giving import Place, StepGiver, unless_stopped
from app.engines.emr.step_logs import log_lines

log = structlog.get_logger()

_MOST_LINES = 10_000  # that wait to be polled
_CANCEL_PATIENCE = timedelta(seconds=10)
_LOG_INTERVAL = 5.0  # seconds between two looks for a log
_LEAVE_TRIES, _LEAVE_PAUSE = 50, 0.1  # seconds


class EmrAttempt:
    """Follows an attempt whose folder is laid out. A new one for the same folder goes on where the record stands."""

    def __init__(self, *, folder: AttemptFolder, place: Place, record: Record, cancelled: bool) -> None:
        self.state = WorkState.RUNNING
        self.outcome: dict[str, Any] = {}
        self.folder = folder
        self._place = place
        self._record = record
        self._stop = asyncio.Event()
        self._error: EngineError | None = None
        self._timed_out = False
        self._log: list[EngineLogLine] = []
        self._news = asyncio.Event()
        if cancelled:
            self._stop.set()
        self._coming = ExitStack()
        if record.step is None:
            self._coming.enter_context(place.steps.coming())
        self._giver = self._new_giver()
        self._task = asyncio.create_task(self._run())

    @property
    def number(self) -> int:
        """Of the try that the outcome is from."""
        return self._record.number

    async def poll(self, wait: timedelta) -> Poll:
        if self.state is WorkState.RUNNING and not self._log:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self._news.wait()
        self._news.clear()
        lines, self._log = self._log, []
        return Poll(state=self.state, error=self._error, log=lines, handle=self._handle())

    async def cancel(self) -> None:
        """Raises: TransientEngineError, TerminalEngineError where AWS could not be told."""
        if self.state is not WorkState.RUNNING:
            return
        self._stop.set()
        with engine_errors():
            # Whoever gives a step after this is written looks here, and who gave it before has written it down.
            await self.folder.cancel()
            if self._record.step is None:
                self._record = await self.folder.record() or self._record
            await self._cancel_step(force=False)

    def _handle(self) -> Handle | None:
        """The folder with the step that it has at present, for people to look up."""
        if self._record.step is None:
            return None
        return Handle(text=f"{self.folder.key} {self._record.cluster} {self._record.step}", durable=True)

    async def let_go(self) -> None:
        """Follow it no more; the step goes on."""
        for _ in range(_LEAVE_TRIES):
            if not self._giver.busy:  # a step that is given but not written down would be hard to find
                break
            await asyncio.sleep(_LEAVE_PAUSE)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._to_the_end()
            self.state = WorkState.SUCCEEDED
        except EngineError as error:
            self._end(error)
        except AwsError as error:
            self._end(engine_error(error))
        except Exception:  # the process's edge: nobody awaits this task, and its fault must end the work
            log.exception("emr.attempt_crashed", folder=self.folder.key)
            self._end(
                TerminalEngineError(
                    "The step could not be followed, in an unforeseen way; the server's log tells more.",
                    code="INTERNAL",
                )
            )
        finally:
            self._coming.close()
        self._news.set()

    def _end(self, error: EngineError) -> None:
        self.state = WorkState.CANCELLED if self._stop.is_set() and not self._timed_out else WorkState.FAILED
        self._error = error if self.state is WorkState.FAILED else None

    async def _to_the_end(self) -> None:
        """Step by step, until one succeeds or another try is of no use. Raises: EngineError, AwsError."""
        while True:
            status = await self._in_time(self._one_try())
            outcome = await self.folder.outcome(self._record.number)
            self.outcome = outcome or {}
            await self._take_log(status)
            self._check_stop()
            error = step_error(status, outcome, cluster_is_up=await self._cluster_is_up(status))
            if error is None:
                return
            if not error.retriable or self._record.number > self._place.max_retries:
                raise error
            self._say(f"{error.message} Trying again, {self._record.number} of {self._place.max_retries}.")
            self._record = Record(number=self._record.number + 1, deadline=self._record.deadline)
            await self.folder.save(self._record)
            self._place.cluster.forget()

    async def _in_time(self, work: Coroutine[Any, Any, StepStatus]) -> StepStatus:
        """Wait for the end of a try; a deadline that passes cancels it, and one that heeds no cancelling is forced."""
        doing = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        left = None if self._record.deadline is None else max(0, self._record.deadline - time.time())
        try:
            await asyncio.wait({doing, stopping}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done() and not self._stop.is_set():
                self._timed_out = True
                with suppress(EngineError):
                    await self.cancel()
            patience = None if doing.done() else max(self._place.interval * 2, _CANCEL_PATIENCE).total_seconds()
            while not doing.done():
                await asyncio.wait({doing}, timeout=patience)
                if not doing.done():
                    with suppress(AwsError):
                        await self._cancel_step(force=True)
            return doing.result()
        finally:
            stopping.cancel()
            doing.cancel()
            await asyncio.gather(stopping, doing, return_exceptions=True)

    async def _one_try(self) -> StepStatus:
        """From the cluster's coming up to the end of the step; a try that is stopped before it has a step has none."""
        if self._record.step is None:
            self._giver = self._new_giver()
            self._record = await self._giver.give(self._record) or self._record
            self._coming.close()
            if self._stop.is_set() or await self.folder.is_cancelled():
                self._stop.set()
                await self._cancel_step(force=False)
        cluster, step = self._record.cluster, self._record.step
        if cluster is None or step is None:
            self._check_stop()
            raise lost(self.folder.key)
        state = ""
        async for status in self._place.steps.follow(cluster, step):
            if status.state != state:
                state = status.state
                self._say(f"Step {step} on cluster {cluster}: {state}")
            if status.has_ended:
                return status
        raise lost(f"{cluster} {step}")

    def _new_giver(self) -> StepGiver:
        return StepGiver(
            folder=self.folder, place=self._place, stop=self._stop, say=self._say, arrived=self._coming.close
        )

    async def _cancel_step(self, *, force: bool) -> None:
        if self._record.cluster is not None and self._record.step is not None:
            await self._place.steps.cancel(self._record.cluster, self._record.step, force=force)

    async def _take_log(self, status: StepStatus) -> None:
        """The step's own log where EMR has brought it already, else what the script has told."""
        told = self.outcome.get("log") or []
        lines = await self._step_log(status.id, wait=not self.outcome and status.state == "FAILED")
        if not lines:
            for stream in ("stdout", "stderr", "engine"):
                lines = [*lines, *log_lines(stream, [text for name, text in told if name == stream])]
        self._keep(lines)

    async def _step_log(self, step: str, *, wait: bool) -> Sequence[EngineLogLine]:
        cluster = await self._place.cluster.facts_of(self._record.cluster or "")
        if cluster is None or cluster.log_uri is None:
            return []
        until = time.monotonic() + (self._place.log_patience.total_seconds() if wait else 0)
        while True:
            lines = await self._place.logs.lines(cluster.log_uri, cluster.id, step)
            if lines or self._stop.is_set() or time.monotonic() >= until:
                return lines
            await unless_stopped(self._stop, asyncio.sleep(_LOG_INTERVAL))

    async def _cluster_is_up(self, status: StepStatus) -> bool:
        if status.state not in {"CANCELLED", "INTERRUPTED"} or self._record.cluster is None:
            return True
        cluster = await self._place.clusters.facts(self._record.cluster)
        return cluster is not None and cluster.takes_steps

    def _check_stop(self) -> None:
        if self._timed_out:
            raise TerminalEngineError("The work was stopped after its time limit.", code="TIMEOUT")
        if self._stop.is_set():
            raise TerminalEngineError("The work was cancelled.", code="CANCELLED")

    def _say(self, text: str) -> None:
        self._keep([EngineLogLine(at=datetime.now(UTC), stream="engine", text=text)])

    def _keep(self, lines: Sequence[EngineLogLine]) -> None:
        self._log += lines[: max(0, _MOST_LINES - len(self._log))]
        if lines:
            self._news.set()
