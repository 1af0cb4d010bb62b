"""Bringing the metadata database up to this version's tables, and telling whether it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import app.models.migrations
from app.models import Base

LOCK = "data_phantom_migration"
LOCK_SECONDS = 120


class MigrationLockError(Exception):
    """Another process has been migrating for too long."""


class MetadataUnreachableError(Exception):
    """There is no connection to the metadata database; the message says why."""


async def migrate(engine: AsyncEngine) -> tuple[str | None, str]:
    """Upgrade to the newest revision; gives the revisions before and after. Two at once come one after the other.

    Raises: MetadataUnreachableError, MigrationLockError.
    """
    async with _connected(engine) as connection, _tables_may_be_replaced(connection):
        before = await connection.run_sync(_upgrade)
        await connection.commit()
    return before, head()


async def current(engine: AsyncEngine) -> str | None:
    """Raises: MetadataUnreachableError."""
    async with _connected(engine) as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        connection = await engine.connect()
    except DBAPIError as error:
        reason = error.orig.args[-1] if error.orig is not None and error.orig.args else error
        raise MetadataUnreachableError(
            f"The metadata database {engine.url.render_as_string()} cannot be used: {reason}. Check that it runs, and "
            f"url, user and password of meta_store."
        ) from error
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _tables_may_be_replaced(connection: AsyncConnection) -> AsyncIterator[None]:
    """SQLite alters a table by making another in its place: dropping the old one must not delete what refers to it.

    It takes this only outside of a transaction, so by the driver.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None  # noqa: S101 - there is one until it is closed
    await driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        await connection.rollback()
        await driver.execute("PRAGMA foreign_keys=ON")


def head() -> str:
    """The revision that this version of the program works with."""
    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def differences(connection: Connection) -> list[object]:
    """What the migrated tables lack or have too much of, against the models."""
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata))


def _upgrade(connection: Connection) -> str | None:
    server = connection.dialect.name in {"mysql", "mariadb"}
    if server and connection.exec_driver_sql(f"SELECT GET_LOCK('{LOCK}', {LOCK_SECONDS})").scalar() != 1:
        raise MigrationLockError(f"Another process has held the migration lock for {LOCK_SECONDS} s; see what it does.")
    try:
        before = MigrationContext.configure(connection).get_current_revision()
        command.upgrade(_config(connection), "head")
    finally:
        if server:
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK('{LOCK}')")
    return before


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(app.models.migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config
