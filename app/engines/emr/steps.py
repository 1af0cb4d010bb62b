"""The steps of this process on their clusters: given, watched and cancelled in batches."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import structlog

from app.aws.backoff import Backoff
from app.aws.cluster import STEPS_AT_ONCE, STEPS_BY_ID, UNKNOWN, EmrClusters, StepStatus
from app.aws.errors import AwsError, TerminalAwsError, TransientAwsError
from app.engines.emr.failures import engine_error, lost

log = structlog.get_logger()

_LINGER = timedelta(milliseconds=250)  # in which steps gather for one call, unless they are looked at as often
_PATIENCE = 2.0  # seconds for those who are about to come; an attempt that is let go waits longer for its step
_MOST_PAUSE = timedelta(minutes=5)


class Steps:
    """Whatever is asked for about one cluster within a moment is one call to EMR.

    How long the moment is in which steps are given follows from who is about to come, not from a clock alone: a machine
    that is busy makes no more calls. And what comes while a call is under way goes with the next.

    All steps of a cluster are looked at together, once in `interval`; a look that EMR throttles is put off, longer
    each time.
    """

    def __init__(self, *, clusters: EmrClusters, interval: timedelta) -> None:
        self._clusters = clusters
        self._interval = interval
        self._linger = min(_LINGER, interval / 10).total_seconds()
        self._waiting: dict[str, list[tuple[Mapping[str, Any], asyncio.Future[str]]]] = defaultdict(list)
        self._giving: dict[str, asyncio.Task[None]] = {}
        self._coming = 0
        self._all_here = asyncio.Event()
        self._all_here.set()
        self._to_cancel: dict[tuple[str, bool], list[tuple[str, asyncio.Future[str]]]] = defaultdict(list)
        self._watched: dict[str, dict[str, asyncio.Queue[StepStatus | Exception]]] = defaultdict(dict)
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While the context is open, a step is about to come, and those that are here wait for it a little."""
        self._coming += 1
        self._all_here.clear()
        try:
            yield
        finally:
            self._coming -= 1
            if not self._coming:
                self._all_here.set()

    async def add(self, cluster: str, step: Mapping[str, Any]) -> str:
        """Give the cluster a step; its id.

        Raises: TransientAwsError, after which the step may be there all the same (see `find`); TerminalAwsError.
        """
        future = _future()
        self._waiting[cluster].append((step, future))
        if cluster not in self._giving or self._giving[cluster].done():
            self._giving[cluster] = self._begin(self._add_soon(cluster))
        return await asyncio.shield(future)

    async def find(self, cluster: str, name: str) -> str | None:
        """The id of the newest step of this name. Raises: AwsError."""
        async for page in self._clusters.newest_steps(cluster):
            for step in page:
                if step.name == name:
                    return step.id
        return None

    async def cancel(self, cluster: str, step: str, *, force: bool = False) -> None:
        """Raises: AwsError."""
        future = _future()
        waiting = self._to_cancel[cluster, force]
        waiting.append((step, future))
        if len(waiting) == 1:
            self._begin(self._cancel_soon(cluster, force=force))
        await asyncio.shield(future)

    async def follow(self, cluster: str, step: str) -> AsyncIterator[StepStatus]:
        """What each look shows of the step, up to its end.

        Raises: TerminalEngineError, with code LOST where the cluster does not know it.
        """
        watched = self._watched[cluster]
        news: asyncio.Queue[StepStatus | Exception] = asyncio.Queue()
        watched[step] = news
        if cluster not in self._watches or self._watches[cluster].done():
            self._watches[cluster] = self._begin(self._watch(cluster))
        try:
            while True:
                status = await news.get()
                if isinstance(status, Exception):
                    raise status
                yield status
                if status.has_ended:
                    return
        finally:
            watched.pop(step, None)

    async def close(self) -> None:
        """Stop looking; the steps go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _add_soon(self, cluster: str) -> None:
        waiting = self._waiting[cluster]
        await asyncio.sleep(self._linger)
        while waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._all_here.wait()
            batch = waiting[:STEPS_AT_ONCE]
            del waiting[:STEPS_AT_ONCE]
            await self._add(cluster, batch)

    async def _add(self, cluster: str, waiting: list[tuple[Mapping[str, Any], "asyncio.Future[str]"]]) -> None:
        try:
            ids = await self._clusters.add_steps(cluster, [step for step, _ in waiting])
        except TerminalAwsError as error:
            if len(waiting) > 1:  # too many at once for a cluster that is nearly full, or one of them is at fault
                middle = len(waiting) // 2
                await self._add(cluster, waiting[:middle])
                await self._add(cluster, waiting[middle:])
            else:
                waiting[0][1].set_exception(error)
        except TransientAwsError as error:
            for _, future in waiting:
                future.set_exception(error)
        else:
            for (_, future), id_ in zip(waiting, ids, strict=True):
                future.set_result(id_)

    async def _cancel_soon(self, cluster: str, *, force: bool) -> None:
        await asyncio.sleep(self._linger)
        waiting = self._to_cancel.pop((cluster, force))
        try:
            for start in range(0, len(waiting), STEPS_AT_ONCE):
                steps = [step for step, _ in waiting[start : start + STEPS_AT_ONCE]]
                await self._clusters.cancel_steps(cluster, steps, force=force)
        except AwsError as error:
            for _, future in waiting:
                future.set_exception(error)
        else:
            for step, future in waiting:
                future.set_result(step)

    async def _watch(self, cluster: str) -> None:
        """Look at the cluster's steps while anybody follows one."""
        watched = self._watched[cluster]
        backoff = Backoff(first=self._interval, most=_MOST_PAUSE)
        pause = self._interval.total_seconds()
        while True:
            await asyncio.sleep(pause)
            if not watched:
                break
            pause = self._interval.total_seconds()
            try:
                await self._look(cluster, watched)
                backoff.reset()
            except TransientAwsError as error:
                pause += backoff.pause()
                log.warning("emr.look_put_off", cluster=cluster, seconds=round(pause, 1), reason=error.message)
            except AwsError as error:
                for news in watched.values():
                    news.put_nowait(engine_error(error))
                break

    async def _look(self, cluster: str, watched: Mapping[str, "asyncio.Queue[StepStatus | Exception]"]) -> None:
        """A page of the newest steps has most of them; what is left is asked for by its ids."""
        left = set(watched)
        if len(left) > STEPS_BY_ID:
            async for page in self._clusters.newest_steps(cluster):
                seen = self._tell(page, watched)
                left -= seen
                if len(left) <= STEPS_BY_ID or not seen:
                    break
        while left:
            ids = sorted(left)[:STEPS_BY_ID]
            left.difference_update(ids)
            told = self._tell(await self._known_steps(cluster, ids), watched)
            for unknown in set(ids) & set(watched) - told:
                watched[unknown].put_nowait(lost(unknown))

    async def _known_steps(self, cluster: str, ids: list[str]) -> list[StepStatus]:
        """EMR refuses a list with one id that it does not know: then each is asked for by itself."""
        try:
            return await self._clusters.steps(cluster, ids)
        except TerminalAwsError as error:
            if error.code not in UNKNOWN:
                raise
            if len(ids) == 1:
                return []
            return [status for id_ in ids for status in await self._known_steps(cluster, [id_])]

    @staticmethod
    def _tell(page: list[StepStatus], watched: Mapping[str, "asyncio.Queue[StepStatus | Exception]"]) -> set[str]:
        for status in page:
            if status.id in watched:
                watched[status.id].put_nowait(status)
        return {status.id for status in page if status.id in watched}

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _future() -> "asyncio.Future[str]":
    """A future whose failure need not be heard by anybody."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
