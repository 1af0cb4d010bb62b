"""Comparisons beyond one machine: which of two outputs go to a Spark, and how its job is followed to the result."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import structlog

from app.domain.errors import NotFoundError
from app.domain.outputs import OutputFormat
from app.engines.base import EngineError, EngineKind, Handle, Poll, WorkState
from app.engines.comparing.question import ComparedOutput, Question
from app.engines.comparing.work import Comparing
from app.engines.registry import EngineRegistry
from app.models import ReconciliationRun, TaskRun
from app.outputs.base import OutputStore
from app.services.comparison_sides import ComparisonStoppedError
from app.services.reconciliations import mapping_of, options_of
from app.services.runs import refuse_pruned

POLL_WAIT = timedelta(seconds=1)
COMPLAINTS = 3  # of Spark's own words, how many are told where a job has failed
FIRST_PAUSE, MOST_PAUSE = 1.0, 30.0  # seconds before an engine that could not be asked is asked again

log = structlog.get_logger()

# Hears a share, and a sentence where there is one.
Report = Callable[[float, str | None], Awaitable[None]]


class DistributedComparison:
    """`threshold_bytes` is of the larger output. What lies on this machine's own disk is never sent anywhere."""

    def __init__(self, *, engine: Comparing, outputs: OutputStore, threshold_bytes: int) -> None:
        self._engine = engine
        self._outputs = outputs
        self._threshold_bytes = threshold_bytes

    @classmethod
    def configured(
        cls, *, engines: EngineRegistry, outputs: OutputStore, threshold_bytes: int | None
    ) -> "DistributedComparison | None":
        """A cluster is preferred to a server of Spark Connect; None where there is neither, or no threshold."""
        comparing = [engine for engine in engines.all() if isinstance(engine, Comparing)]
        if threshold_bytes is None or not comparing:
            return None
        engine = min(comparing, key=lambda engine: engine.kind is not EngineKind.EMR)
        return cls(engine=engine, outputs=outputs, threshold_bytes=threshold_bytes)

    async def takes(self, run: ReconciliationRun, left: TaskRun, right: TaskRun) -> bool:
        """Whether both outputs are within a cluster's reach, one of them is large, and an exact answer is wanted."""
        locations = [row.output_location for row in (left, right)]
        if not options_of(run.options).verify or any(
            location is None or self._outputs.uri(location) is None for location in locations
        ):
            return False
        sizes = [await self._outputs.size(location) for location in locations if location is not None]
        return max(sizes) > self._threshold_bytes

    async def compare(
        self,
        run: ReconciliationRun,
        left: TaskRun,
        right: TaskRun,
        *,
        stop: asyncio.Event,
        location: str,
        report: Report,
    ) -> dict[str, Any]:
        """The result as a document; the differences lie at the location then.

        Whoever begins the comparison of a run again goes on with a job that outlived its worker.

        Raises: EngineError, DomainError; ComparisonStoppedError.
        """
        question = Question(
            left=await self._output("left", left),
            right=await self._output("right", right),
            mapping=mapping_of(run.mapping),
            options=options_of(run.options),
        )
        await report(0.0, f"The outputs are compared by Spark, as {self._engine.compares_on}: they are large.")
        handle = await self._engine.begin_comparison(question, run_id=run.id, playground_id=run.playground_id)
        try:
            await self._follow(handle, stop, report)
            async with self._outputs.open_writer(location) as writer:
                return dict(await self._engine.take_comparison(handle, writer.write))
        except asyncio.CancelledError:
            if not handle.durable:  # nobody else could go on with it
                await asyncio.shield(self._cancel(handle))
            raise

    async def _follow(self, handle: Handle, stop: asyncio.Event, report: Report) -> None:
        """Up to success. Raises: EngineError, ComparisonStoppedError."""
        stopping = asyncio.create_task(self._cancel_when(stop, handle))
        complaints: deque[str] = deque(maxlen=COMPLAINTS)
        try:
            async with aclosing(self._polls(handle)) as polls:
                async for poll in polls:
                    await _pass_on(poll, complaints, report)
            if poll.state is WorkState.SUCCEEDED:
                return
            if stop.is_set() or poll.error is None:
                raise ComparisonStoppedError
            for complaint in complaints:
                await report(poll.progress or 0.0, complaint)
            raise poll.error
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    async def _polls(self, handle: Handle) -> AsyncGenerator[Poll, None]:
        """The last one is of work that has ended. Raises: TerminalEngineError."""
        pause = FIRST_PAUSE
        while True:
            try:
                poll = await self._engine.poll(handle, wait=POLL_WAIT)
            except EngineError as error:
                if not error.retriable:
                    raise
                log.warning("comparison.engine_away", handle=handle.text, reason=error.message)
                await asyncio.sleep(pause)
                pause = min(pause * 2, MOST_PAUSE)
                continue
            pause = FIRST_PAUSE
            yield poll
            if poll.state is not WorkState.RUNNING:
                return

    async def _cancel_when(self, stop: asyncio.Event, handle: Handle) -> None:
        await stop.wait()
        await self._cancel(handle)

    async def _cancel(self, handle: Handle) -> None:
        try:
            await self._engine.cancel(handle)
        except EngineError as error:
            log.warning("comparison.not_cancelled", handle=handle.text, reason=error.message)

    async def _output(self, side: str, row: TaskRun) -> ComparedOutput:
        refuse_pruned(row)
        uri = None if row.output_location is None else self._outputs.uri(row.output_location)
        if row.output_location is None or uri is None:
            raise NotFoundError(f"The {side} side has no output.")
        parquet = row.output_format is OutputFormat.PARQUET
        return ComparedOutput(
            uri=uri,
            size_bytes=await self._outputs.size(row.output_location),
            delimiter=row.output_delimiter or ",",
            name=f"The {side} side («{row.name}»)",
            labels=tuple(column["name"] for column in row.output_columns or ()) if parquet else None,
        )


async def _pass_on(poll: Poll, complaints: deque[str], report: Report) -> None:
    """What is worth an event of the run, and of all that Spark says what may be the reason of a failure."""
    if poll.progress is not None:
        await report(poll.progress, None)
    for line in poll.log:
        if line.stream == "engine":
            await report(poll.progress or 0.0, line.text)
        elif "Error" in line.text or "Exception" in line.text:
            complaints.append(line.text)
