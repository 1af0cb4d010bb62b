"""The platform's commands: the embedded mode in one go, and its parts as separate processes."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
import yaml
from rich.console import Console

from app import processes
from app.demo.flights import DemoDataMissingError
from app.demo.tour import DemoFailedError
from app.embedded import EmbeddedRedisError
from app.graphql.schema import build_schema
from app.logs import configure_logging
from app.processes import MigrationMissingError
from app.settings import Settings, SettingsError
from app.start import DataFolderError, StartOptions, start_all
from app.store.database import Database
from app.store.migration import MetadataUnreachableError, MigrationLockError
from app.store.migration import migrate as migrate_engine
from app.udf_commands import udf
from app.web.server import ServerStartError

DEFAULT_DATA_DIR = Path(".data-phantom")

platform = typer.Typer()
config = typer.Typer(help="The settings.", no_args_is_help=True)
platform.add_typer(config, name="config")
platform.add_typer(udf, name="udf")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The YAML file of the settings.", envvar="DATA_PHANTOM_CONFIG"),
]


@platform.command()
def start(
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = DEFAULT_DATA_DIR,
    port: Annotated[int, typer.Option(help="Of the API.", min=0, max=65535)] = 9092,
    health_port: Annotated[int | None, typer.Option(help="Of health; the API's and one by default.")] = None,
    config_file: ConfigFile = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Run the demo, then stop; 0 when it ended as expected.")] = False,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Whether to make and run the demo.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what went wrong.")] = False,
) -> None:
    """Start everything on embedded defaults: SQLite, an embedded Redis, server, worker and scheduler in one process."""
    options = StartOptions(
        data_dir=data_dir, port=port, health_port=health_port, config=config_file, once=once, demo=demo, quiet=quiet
    )
    _run(start_all(options, Console(quiet=quiet, highlight=False, soft_wrap=not sys.stdout.isatty())))


@platform.command()
def serve(config_file: ConfigFile = None) -> None:
    """Serve the API, the pages and health; any number may run behind a load balancer."""
    _run(processes.serve(_production(config_file)))


@platform.command()
def worker(config_file: ConfigFile = None) -> None:
    """Run tasks and comparisons; any number may run."""
    _run(processes.work(_production(config_file)))


@platform.command()
def scheduler(config_file: ConfigFile = None) -> None:
    """Fire schedules, and send again what a dead worker left; any number may run."""
    _run(processes.schedule(_production(config_file)))


@platform.command()
def migrate(config_file: ConfigFile = None) -> None:
    """Bring the metadata database up to this version."""
    _run(_migrate(_production(config_file)))


@platform.command("export-schema")
def export_schema(
    path: Annotated[Path, typer.Argument(help="The file to write; - for standard output.")] = Path("schema.graphql"),
) -> None:
    """Write the GraphQL schema."""
    text = f"{build_schema()}\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")


@config.command("check")
def config_check(config_file: ConfigFile = None) -> None:
    """Check the settings, and show them with secrets masked."""
    settings = _production(config_file)
    typer.echo(yaml.safe_dump(settings.describe(), sort_keys=False, allow_unicode=True), nl=False)
    for remark in settings.remarks():
        typer.echo(f"Note: {remark}", err=True)
    typer.echo("The settings are in order.", err=True)


def _production(path: Path | None) -> Settings:
    try:
        settings = Settings.load(path, os.environ)
        settings.check_production()
    except SettingsError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"The settings cannot be read: {error}")
    configure_logging(settings.log)
    return settings


def _run(work: Coroutine[Any, Any, int | None]) -> None:
    """Run to the end; what a person can mend is said in words, with status 1."""
    try:
        status = uvloop.run(work)
    except (
        SettingsError,
        ServerStartError,
        MigrationMissingError,
        MigrationLockError,
        MetadataUnreachableError,
        EmbeddedRedisError,
        DataFolderError,
        DemoDataMissingError,
        DemoFailedError,
    ) as error:
        _fail(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        status = 130
    raise typer.Exit(status or 0)


def _fail(message: str) -> Any:
    typer.echo(message, err=True)
    raise typer.Exit(1)


async def _migrate(settings: Settings) -> None:
    async def nothing_to_send(_outbox: object) -> None:
        return

    address = settings.meta_store.address
    database = Database(url=address.sqlalchemy_url(), connect_args=address.connect_args, deliver=nothing_to_send)
    try:
        before, after = await migrate_engine(database.engine)
    finally:
        await database.close()
    typer.echo(f"The metadata database is at revision {after}" + ("." if before == after else f" (was {before})."))
