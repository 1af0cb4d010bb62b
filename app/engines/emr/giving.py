"""Gives the cluster the step of a try exactly once, whoever else follows the same attempt."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

from app.aws.backoff import Backoff
from app.aws.cluster import ClusterFacts, EmrClusters
from app.aws.errors import TerminalAwsError, TransientAwsError
from app.engines.emr.folder import AttemptFolder, Record
from app.engines.emr.stack_cluster import StackCluster
from app.engines.emr.step_logs import StepLogs
from app.engines.emr.steps import Steps

Result = TypeVar("Result")

_ACT_SECONDS = 60  # from claiming a try to writing down its step; who takes longer is dead
_MOST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What all attempts of an engine share; `log_patience` is for the log of a step that died without a word."""

    clusters: EmrClusters
    cluster: StackCluster
    steps: Steps
    logs: StepLogs
    interval: timedelta
    max_retries: int
    log_patience: timedelta = timedelta(minutes=2)


class StepGiver:
    """A try is claimed in the bucket before its step is given, so one process gives it.

    Where the claim is another's, its step is waited for. Where that does not come, or an answer of EMR was lost, the
    step is looked for by its name, which is that of the try alone. `arrived` is called when others need no longer wait
    for the step.
    """

    def __init__(
        self,
        *,
        folder: AttemptFolder,
        place: Place,
        stop: asyncio.Event,
        say: Callable[[str], None],
        arrived: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._place = place
        self._stop = stop
        self._say = say
        self._arrived = arrived
        self._claimed = False
        self._unsure = False  # the step may be there already
        self._waiting_since: float | None = None  # for who has claimed the try
        self.busy = False  # between giving the step and having it written down

    async def give(self, record: Record) -> Record | None:
        """The record with the step; None as soon as the attempt is to stop. Raises: EngineError, AwsError."""
        backoff = Backoff(first=min(self._place.interval, timedelta(seconds=5)), most=_MOST_PAUSE)
        cluster: ClusterFacts | None = None
        while not self._stop.is_set():
            reason = ""
            try:
                cluster = await unless_stopped(self._stop, self._place.cluster.ready(self._say))
                if cluster is None:
                    break
                given = await self._give(cluster, record)
                if given is not None:
                    return given
            except TransientAwsError as error:
                self._unsure, reason = True, error.message
            except TerminalAwsError as error:
                if not await self._may_pass(cluster, error):
                    raise
                reason = error.message
            self._arrived()
            pause = backoff.pause()
            if reason:
                self._say(f"{reason} Trying again in {pause:.1f} s.")
            await unless_stopped(self._stop, asyncio.sleep(pause))
        return None

    async def _give(self, cluster: ClusterFacts, record: Record) -> Record | None:
        """None where another is about to give it."""
        if not await self._may_give(record):
            now = await self._folder.record()
            return now if now is not None and now.step is not None and now.number == record.number else None
        name = f"data-phantom {self._folder.key} {record.number}"
        step = await self._place.steps.find(cluster.id, name) if self._unsure else None
        self.busy = True
        try:
            step = step or await self._add(cluster, name, record.number)
            given = replace(record, cluster=cluster.id, step=step)
            await self._folder.save(given)
        finally:
            self.busy = False
        return given

    async def _may_give(self, record: Record) -> bool:
        self._claimed = self._claimed or await self._folder.claim(record.number)
        if self._claimed:
            return True
        self._waiting_since = self._waiting_since or monotonic()
        if monotonic() - self._waiting_since < _ACT_SECONDS:
            return False
        self._claimed = self._unsure = True
        return True

    async def _add(self, cluster: ClusterFacts, name: str, number: int) -> str:
        request = await self._folder.step()
        self._arrived()
        step = {
            "Name": name,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {**request, "Args": [*request["Args"], self._folder.uri(number)]},
        }
        return await self._place.steps.add(cluster.id, step)

    async def _may_pass(self, cluster: ClusterFacts | None, error: TerminalAwsError) -> bool:
        """Whether a step that was refused may be taken later: EMR has one code for all its refusals."""
        if "active steps" in error.message:  # it keeps 256 waiting at most
            return True
        self._place.cluster.forget()
        now = await unless_stopped(self._stop, self._place.cluster.ready(self._say))
        return now is not None and cluster is not None and now.id != cluster.id


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What comes of the work; None as soon as the event is set."""
    doing = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        stopping.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
