"""The embedded mode: everything in one process and one data folder, with the demo shown in the terminal."""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from app.context import open_process
from app.demo.flights import registered_tables
from app.demo.tour import Tour
from app.embedded import embedded_redis
from app.engines.embedded.registered import RegisteredTable
from app.logs import configure_logging
from app.processes import all_in_one, until_stopped
from app.settings import Settings
from app.store.migration import migrate

INTERRUPTED = 130  # as a shell has it


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOptions:
    data_dir: Path
    port: int
    health_port: int | None
    config: Path | None
    once: bool
    demo: bool
    quiet: bool


class DataFolderError(Exception):
    """The data folder cannot be used; the message says why."""


async def start_all(options: StartOptions, console: Console) -> int:
    """Start, show the demo, and stay until stopped; gives the exit status.

    A signal stops it cleanly from the first moment on, also in the middle of the demo.

    Raises: SettingsError, DataFolderError, DemoDataMissingError, EmbeddedRedisError, ServerStartError, DemoFailedError.
    """
    stopped = asyncio.create_task(until_stopped())
    running = asyncio.create_task(_run(options, console))
    try:
        await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        console.print("Stopping …")
        return INTERRUPTED if options.once else 0
    finally:
        for task in (stopped, running):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _run(options: StartOptions, console: Console) -> int:
    data_dir = _made(options.data_dir)
    settings = Settings.embedded(
        options.data_dir,
        port=options.port,
        health_port=options.health_port,
        env=os.environ,
        path=options.config,
    )
    configure_logging(settings.log, quiet=True)
    console.print("[bold]Data Phantom[/bold]")
    console.print(f"  data folder  {data_dir}")
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone_in(data_dir))
        if settings.redis.url is None:
            settings = settings.with_redis(await stack.enter_async_context(embedded_redis()))
        tables: Mapping[str, RegisteredTable] = registered_tables(data_dir / "demo") if options.demo else {}
        process = await stack.enter_async_context(open_process(settings, tables=tables))
        before, after = await migrate(process.database.engine)
        if before != after:
            console.print(f"  metadata     migrated to revision {after}")
        servers = await stack.enter_async_context(all_in_one(process))
        base = f"http://127.0.0.1:{servers.api.port}"
        console.print(f"  dashboard    {base}/")
        console.print(f"  GraphiQL     {base}/graphql")
        console.print(f"  health       http://127.0.0.1:{servers.admin.port}/health")
        status = 0
        if options.demo:
            tour = Tour(base=base, accounts=process.services.accounts, console=console, quiet=options.quiet)
            status = 0 if await tour.show(again=options.once) else 1
        if options.once:
            return status
        console.print("\nCtrl-C stops everything.")
        await asyncio.Event().wait()  # until cancelled
    raise AssertionError


def _made(folder: Path) -> Path:
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"The data folder {folder} cannot be made: {error.strerror}. Choose another by --data-dir."
        raise DataFolderError(message) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise DataFolderError(
            f"The data folder {folder} may not be written by this user. Choose another by --data-dir."
        )
    return folder


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this start alone: a second one would have a Redis of its own, and neither heard the other.

    Raises: DataFolderError.
    """
    with (folder / "start.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderError(
                f"Another start is running on {folder}. Stop that one, or choose another folder by --data-dir."
            ) from error
        yield
