"""A worker process: takes jobs from both queues, keeps its lease, and hands over what it holds when it is stopped."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import product

import structlog

from app.context import ProcessContext
from app.domain.dispatch import Pool
from app.domain.events import JobName
from app.domain.identity import new_id
from app.domain.reconciliation.options import Thresholds
from app.messaging.bell import REDIS_AWAY
from app.messaging.queue import Handler, QueueWorker, Room, make_worker, queue_of, queue_topic
from app.services.attempt import AttemptRunner
from app.services.checks import OutputChecks
from app.services.comparison import ComparisonService
from app.services.distributed_comparison import DistributedComparison
from app.services.execution import ExecutionService
from app.services.held_work import HeldWork
from app.services.leases import Lease
from app.services.slots import Slots
from workers.jobs.execute_tasks import execute_tasks
from workers.jobs.reconcile import reconcile

RETRY_DELAY = 1.0
MANY = 10_000  # jobs at once: slots are the bound

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
        limits = settings.concurrency_config.limits
        reconciliation = settings.reconciliation_settings
        spill_dir = reconciliation.spill_directory or settings.outputs.directory.resolve().parent / "spill"
        self.spill_dir = spill_dir
        self._slots = Slots(
            pools=settings.concurrency_config.pools,
            lanes={engine.name: engine.capacity for engine in process.engines.all() if engine.capacity is not None},
            most=settings.worker.max_tasks,
            limits=limits,
        )
        self._execution = ExecutionService(
            database=process.database,
            attempts=AttemptRunner(
                database=process.database,
                engines=process.engines,
                outputs=process.outputs,
                jar_files=process.jar_files,
                checks=OutputChecks(
                    database=process.database,
                    outputs=process.outputs,
                    spill_dir=spill_dir / "checks",
                ),
            ),
            held=self._held,
            worker_id=self.worker_id,
            slots=self._slots,
            limits=limits,
        )
        self._comparisons = ComparisonService(
            database=process.database,
            outputs=process.outputs,
            held=self._held,
            worker_id=self.worker_id,
            thresholds=Thresholds(
                exact_match_bytes=reconciliation.exact_match_threshold,
                false_positive_rate=reconciliation.false_positive_rate,
                estimated_rows=reconciliation.estimated_rows,
            ),
            spill_dir=spill_dir,
            memory_limit_bytes=reconciliation.memory_limit,
            distributed=DistributedComparison.configured(
                engines=process.engines,
                outputs=process.outputs,
                threshold_bytes=reconciliation.distributed_threshold,
            ),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work as long as the block lasts; at its end, finish or hand over."""
        await self._lease.register()
        keeping = asyncio.create_task(self._lease.keep(), name="lease")
        loops = [asyncio.create_task(self._work(name), name=f"worker {name}") for name in JobName]
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

    async def _work(self, name: JobName) -> None:
        """Serve the queues of one kind of job for ever; a Redis that is away is waited for."""
        wake = asyncio.Event()
        self._slots.on_room(wake.set)
        while True:
            try:
                async with AsyncExitStack() as stack:
                    worker = self._make_worker(name, wake)
                    self._workers.append(worker)
                    stack.callback(self._workers.remove, worker)
                    await stack.enter_async_context(self._process.bell.listening(queue_topic(name), wake.set))
                    await worker.main()
                    return
            except REDIS_AWAY as error:
                log.warning("worker.queue_unreachable", queue=str(name), reason=str(error))
            except Exception:  # else this worker would live on, and take nothing
                log.exception("worker.queue_crashed", queue=str(name))
            await asyncio.sleep(RETRY_DELAY)

    def _make_worker(self, name: JobName, wake: asyncio.Event) -> QueueWorker:
        handler: Handler
        queues: Mapping[str, Room]
        match name:
            case JobName.EXECUTE_TASKS:
                handler, queues, most = execute_tasks(self._execution), self._task_queues(), MANY
            case JobName.RECONCILE:
                handler, queues = reconcile(self._comparisons), {queue_of(name): lambda: MANY}
                most = self._process.settings.reconciliation_settings.max_processes
        url = self._process.settings.redis_url
        return make_worker(url=url, queues=queues, handlers={name: handler}, wake=wake, max_jobs=most)

    def _task_queues(self) -> dict[str, Room]:
        """The queue of each lane that this worker serves, and the one whose tasks' lanes are not told."""
        lanes = ["", *(engine.name for engine in self._process.engines.all())]
        queues: dict[str, Room] = {queue_of(JobName.EXECUTE_TASKS): self._slots.some_room}
        for place in product(Pool, lanes):
            queues[queue_of(JobName.EXECUTE_TASKS, place)] = partial(self._slots.room, *place)
        return queues
