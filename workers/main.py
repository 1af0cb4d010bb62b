"""A worker process: takes jobs from both queues, keeps its lease, and hands over what it holds when it is stopped."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog
from redis.exceptions import RedisError

from app.context import ProcessContext
from app.domain.events import JobName
from app.domain.identity import new_id
from app.domain.reconciliation.options import Thresholds
from app.messaging.queue import QUEUES, QueueWorker, make_worker, queue_topic
from app.services.attempt import AttemptRunner
from app.services.comparison import ComparisonService
from app.services.execution import ExecutionService
from app.services.held_work import HeldWork
from app.services.leases import Lease
from workers.jobs.execute_task import execute_task
from workers.jobs.reconcile import reconcile
from workers.jobs.start_run import start_run

RETRY_DELAY = 1.0
COMPARISONS_AT_ONCE = max(1, (os.cpu_count() or 2) - 1)

log = structlog.get_logger()


class WorkerProcess:
    """Everything that a worker runs; several may run in one event loop, each with a lease of its own."""

    def __init__(self, process: ProcessContext) -> None:
        settings = process.settings
        self._process = process
        self._grace = settings.worker.shutdown_grace
        self.worker_id = new_id()
        self._held = HeldWork()
        self._lease = Lease(
            database=process.database,
            bell=process.bell,
            held=self._held,
            worker_id=self.worker_id,
            interval=settings.worker.heartbeat_interval,
        )
        self._execution = ExecutionService(
            database=process.database,
            attempts=AttemptRunner(database=process.database, engines=process.engines, outputs=process.outputs),
            held=self._held,
            worker_id=self.worker_id,
        )
        reconciliation = settings.reconciliation_settings
        self._comparisons = ComparisonService(
            database=process.database,
            outputs=process.outputs,
            held=self._held,
            worker_id=self.worker_id,
            thresholds=Thresholds(
                exact_match_bytes=reconciliation.exact_match_threshold,
                false_positive_rate=reconciliation.false_positive_rate,
            ),
            spill_dir=settings.outputs.directory.resolve().parent / "spill",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work as long as the block lasts; at its end, finish or hand over."""
        await self._lease.register()
        keeping = asyncio.create_task(self._lease.keep(), name="lease")
        loops = [
            asyncio.create_task(self._work(queue), name=f"worker {queue}") for queue in sorted(set(QUEUES.values()))
        ]
        self._workers: list[QueueWorker] = []
        try:
            yield
        finally:
            for worker in self._workers:
                worker.stop_picking()
            await self._execution.hand_over(grace=self._grace)
            for worker in tuple(self._workers):  # each leaves the list when it ends
                await worker.finish()
            for task in (*loops, keeping):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._lease.end()

    async def _work(self, queue: str) -> None:
        """Serve one queue for ever; a Redis that is away is waited for."""
        while True:
            try:
                async with AsyncExitStack() as stack:
                    wake = asyncio.Event()
                    worker = self._make_worker(queue, wake)
                    self._workers.append(worker)
                    stack.callback(self._workers.remove, worker)
                    await stack.enter_async_context(self._process.bell.listening(queue_topic(queue), wake.set))
                    await worker.main()
                    return
            except (RedisError, OSError) as error:
                log.warning("worker.queue_unreachable", queue=queue, reason=str(error))
                await asyncio.sleep(RETRY_DELAY)

    def _make_worker(self, queue: str, wake: asyncio.Event) -> QueueWorker:
        handlers = {
            JobName.START_RUN: start_run(self._execution),
            JobName.EXECUTE_TASK: execute_task(self._execution),
            JobName.RECONCILE: reconcile(self._comparisons),
        }
        comparisons = queue == QUEUES[JobName.RECONCILE]
        return make_worker(
            url=self._process.settings.redis_url,
            queue=queue,
            handlers={name: handler for name, handler in handlers.items() if QUEUES[name] == queue},
            wake=wake,
            max_jobs=COMPARISONS_AT_ONCE if comparisons else self._process.settings.max_tasks,
        )
