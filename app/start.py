"""The embedded mode: everything in one process and one data folder, with the demo shown in the terminal."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
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


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOptions:
    data_dir: Path
    port: int
    health_port: int | None
    config: Path | None
    once: bool
    demo: bool
    quiet: bool


async def start_all(options: StartOptions, console: Console) -> int:
    """Start, show the demo, and stay until stopped; gives the exit status.

    Raises: SettingsError, EmbeddedRedisError, ServerStartError, DemoFailedError.
    """
    settings = Settings.embedded(
        options.data_dir,
        port=options.port,
        health_port=options.health_port,
        env=os.environ,
        path=options.config,
    )
    configure_logging(settings.log, quiet=True)
    data_dir = options.data_dir.expanduser().absolute()
    console.print("[bold]Data Phantom[/bold]")
    console.print(f"  data folder  {data_dir}")
    async with AsyncExitStack() as stack:
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
        await until_stopped()
        console.print("Stopping …")
    return 0
