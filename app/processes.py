"""Running parts of the platform until somebody stops them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.context import ProcessContext, open_process
from app.main import Servers
from app.services.kernel_preparation import kernels_prepared
from app.settings import Settings
from app.store.migration import current, head
from workers.main import WorkerProcess
from workers.scheduler import SchedulerProcess


class MigrationMissingError(Exception):
    """The database is of another version; the message says what to do."""


async def until_stopped(stop: asyncio.Event | None = None) -> None:
    """Return at SIGINT or SIGTERM; a second signal kills."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ask)
    await stop.wait()


async def serve(settings: Settings) -> None:
    """The API and the health server. Raises: ServerStartError, MigrationMissingError."""
    async with open_process(settings) as process:
        await require_migrations(process)
        servers = Servers(process)
        await servers.start()
        try:
            await until_stopped()
        finally:
            await servers.stop()


async def work(settings: Settings) -> None:
    """One worker process. Raises: MigrationMissingError."""
    async with open_process(settings) as process:
        await require_migrations(process)
        worker = WorkerProcess(process)
        async with worker.running(), kernels_prepared(spill_dir=worker.spill_dir):
            await until_stopped()


async def schedule(settings: Settings) -> None:
    """One scheduler process. Raises: MigrationMissingError."""
    async with open_process(settings) as process:
        await require_migrations(process)
        async with SchedulerProcess(process).running():
            await until_stopped()


@asynccontextmanager
async def all_in_one(process: ProcessContext) -> AsyncIterator[Servers]:
    """Servers, a worker and a scheduler in this one process, as long as the block lasts."""
    async with AsyncExitStack() as stack:
        servers = Servers(process)
        await servers.start()
        stack.push_async_callback(servers.stop)
        worker = WorkerProcess(process)
        await stack.enter_async_context(worker.running())
        await stack.enter_async_context(SchedulerProcess(process).running())
        await stack.enter_async_context(kernels_prepared(spill_dir=worker.spill_dir))
        yield servers


async def require_migrations(process: ProcessContext) -> None:
    found, wanted = await current(process.database.engine), head()
    if found != wanted:
        raise MigrationMissingError(
            f"The metadata database is at revision {found or 'none'}, and this version wants {wanted}. Run "
            f"`data-phantom migrate` first."
        )
