"""An engine that does what a test has planned: succeed, wait, fail, hang, or be found again by another worker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from app.domain.outputs import OutputColumn
from app.domain.tasks import TaskType
from app.engines.base import (
    EngineError,
    EngineHealth,
    EngineKind,
    EngineLogLine,
    Handle,
    OutputSink,
    Poll,
    TerminalEngineError,
    Work,
    WorkState,
)

COLUMNS = (OutputColumn(name="one", type="INTEGER"),)


@dataclass(kw_only=True)
class Plan:
    """What becomes of the text that it stands for."""

    failures: list[EngineError] = field(default_factory=list)  # of the first attempts, one each
    until: asyncio.Event | None = None  # the work ends when this is set
    submit_when: asyncio.Event | None = None  # `submit` returns when this is set
    durable: bool = False
    log: tuple[str, ...] = ()
    rows: Sequence[Sequence[Any]] = ((1,),)
    columns: Sequence[OutputColumn] = COLUMNS
    deaf: bool = False  # does not end when it is told to
    renamed: bool = False  # its handle is another one after the first poll


@dataclass(kw_only=True)
class Job:
    work: Work
    plan: Plan
    failure: EngineError | None
    told: list[str]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False


class Cluster:
    """The side of the engine that outlives workers; it remembers all that it was asked."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.jobs: dict[str, Job] = {}
        self.submitted: list[tuple[str, int]] = []  # text, attempt
        self.cancelled: list[str] = []
        self.running: set[str] = set()
        self.most_at_once = 0
        self._numbers = count(1)
        self._news = asyncio.Event()

    def plan(self, text: str, **values: Any) -> Plan:
        plan = self.plans[text] = Plan(**values)
        return plan

    def attempts_at(self, text: str) -> int:
        return sum(1 for found, _ in self.submitted if found == text)

    async def until_submitted(self, text: str, *, times: int = 1) -> None:
        async with asyncio.timeout(15):
            while self.attempts_at(text) < times:
                self._news.clear()
                await self._news.wait()

    async def until_cancelled(self, text: str) -> None:
        async with asyncio.timeout(15):
            while text not in self.cancelled:
                self._news.clear()
                await self._news.wait()

    def start(self, work: Work, plan: Plan) -> str:
        text = f"work-{next(self._numbers)}"
        self.jobs[text] = Job(
            work=work, plan=plan, failure=plan.failures.pop(0) if plan.failures else None, told=list(plan.log)
        )
        self.running.add(text)
        self.most_at_once = max(self.most_at_once, len(self.running))
        return text

    def submitting(self, work: Work) -> None:
        self.submitted.append((work.query, work.attempt))
        self._news.set()

    def cancel(self, handle: str) -> None:
        job = self.jobs.get(handle)
        if job is None:
            return
        self.cancelled.append(job.work.query)
        self._news.set()
        if not job.plan.deaf:
            job.cancelled = True
            job.changed.set()


class FakeEngine:
    """One worker's connection to a cluster: what is not durable is known only to the connection that submitted it."""

    kind = EngineKind.DIRECT
    types = frozenset(TaskType)
    capacity: int | None = None

    def __init__(self, cluster: Cluster, *, name: str = "fake") -> None:
        self.name = name
        self._cluster = cluster
        self._mine: set[str] = set()

    async def submit(self, work: Work) -> Handle:
        plan = self._cluster.plans.get(work.query) or Plan()
        self._cluster.submitting(work)
        if plan.submit_when is not None:
            await plan.submit_when.wait()
        text = self._cluster.start(work, plan)
        self._mine.add(text)
        return Handle(text=text, durable=plan.durable)

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        job = self._known(handle)
        now = datetime.now(UTC)
        log = [EngineLogLine(at=now, stream="stdout", text=text) for text in job.told]
        job.told.clear()
        if not log:
            await self._settled(job, wait)
        if job.cancelled:
            return self._end(handle, Poll(state=WorkState.CANCELLED, log=log))
        if job.plan.until is not None and not job.plan.until.is_set():
            return Poll(state=WorkState.RUNNING, log=log, handle=self._new_name(handle, job))
        if log:
            return Poll(state=WorkState.RUNNING, log=log)
        if job.failure is not None:
            return self._end(handle, Poll(state=WorkState.FAILED, error=job.failure, log=log))
        return self._end(handle, Poll(state=WorkState.SUCCEEDED, log=log))

    async def cancel(self, handle: Handle) -> None:
        self._cluster.cancel(handle.text)

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        plan = self._known(handle).plan

        async def batches() -> AsyncIterator[Sequence[Sequence[Any]]]:
            yield plan.rows

        await sink.write_rows(plan.columns, batches())

    async def check(self) -> EngineHealth:
        return EngineHealth(healthy=True)

    async def close(self) -> None:
        return

    def _known(self, handle: Handle) -> Job:
        job = self._cluster.jobs.get(handle.text)
        if job is None or not (handle.durable or handle.text in self._mine):
            raise TerminalEngineError("There is no such work.", code="LOST")
        return job

    def _new_name(self, handle: Handle, job: Job) -> Handle | None:
        """By which alone another worker finds the work from now on."""
        if not job.plan.renamed or handle.text.endswith("-renamed"):
            return None
        text = f"{handle.text}-renamed"
        self._cluster.jobs[text] = self._cluster.jobs.pop(handle.text)
        self._mine.add(text)
        return Handle(text=text, durable=job.plan.durable)

    def _end(self, handle: Handle, poll: Poll) -> Poll:
        self._cluster.running.discard(handle.text)
        return poll

    async def _settled(self, job: Job, wait: timedelta) -> None:
        """Wait for the planned end or for a cancel, at most `wait`."""
        if job.plan.until is None or job.plan.until.is_set() or job.cancelled:
            return
        ends = [asyncio.create_task(event.wait()) for event in (job.plan.until, job.changed)]
        try:
            await asyncio.wait(ends, timeout=wait.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
