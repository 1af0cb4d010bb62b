"""Migrations: up they give the models' tables, down they leave nothing, on both databases, and never two at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    func,
    inspect,
    select,
    text,
)

from app.store import migration
from app.store.database import Database
from app.store.migration import current, differences, head, migrate
from tests.support.mariadb import MariaDB
from tests.support.workbench import send_nothing


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url(server.create_database())


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(url=empty_database_url, deliver=send_nothing)
    yield database
    await database.close()


async def test_an_upgrade_gives_exactly_the_models_tables(database: Database) -> None:
    assert await migrate(database.engine) == (None, head())
    assert await current(database.engine) == head()
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await migrate(database.engine) == (head(), head())


async def test_a_downgrade_takes_everything_away_and_can_be_undone(database: Database) -> None:
    await migrate(database.engine)
    async with database.engine.connect() as connection:
        await connection.run_sync(_downgrade)
        await connection.commit()
        assert await connection.run_sync(_tables) == {"alembic_version"}
        await connection.rollback()
    await migrate(database.engine)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_two_that_migrate_at_once_come_one_after_the_other(mariadb: MariaDB) -> None:
    url = mariadb.url(mariadb.create_database())
    databases = [Database(url=url, deliver=send_nothing) for _ in range(3)]
    results = await asyncio.gather(*(migrate(each.engine) for each in databases))
    assert sorted(results, key=str) == sorted([(None, head()), (head(), head()), (head(), head())], key=str)
    for each in databases:
        await each.close()


async def test_a_migration_that_waits_too_long_for_another_says_so(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "LOCK_SECONDS", 0)
    database = Database(url=mariadb.url(mariadb.create_database()), deliver=send_nothing)
    async with database.engine.connect() as holder:
        await holder.exec_driver_sql(f"SELECT GET_LOCK('{migration.LOCK}', 0)")
        with pytest.raises(migration.MigrationLockError, match="Another process"):
            await migrate(database.engine)
    await database.close()


def _downgrade(connection: Connection) -> None:
    command.downgrade(migration._config(connection), "base")


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_an_upgrade_keeps_the_rows_that_are_there(database: Database) -> None:
    async with database.engine.connect() as connection:
        await connection.run_sync(_upgrade_to_first)
        before = await connection.run_sync(_fill)
        await connection.commit()
    assert len(before) > 10
    await migrate(database.engine)
    async with database.engine.connect() as connection:
        assert {name: await connection.run_sync(_count, name) for name in before} == dict.fromkeys(before, 1)
        assert await connection.scalar(text("PRAGMA foreign_keys" if _is_sqlite(database) else "SELECT 1")) == 1


def _upgrade_to_first(connection: Connection) -> None:
    command.upgrade(migration._config(connection), "0001")


def _fill(connection: Connection) -> list[str]:
    """One row in each table, all with the same id, so that each refers to the others."""
    metadata = MetaData()
    metadata.reflect(connection)
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        values = {column.name: _value(column) for column in table.columns}
        connection.execute(table.insert().values(values))
    return [table.name for table in tables]


def _value(column: Column[Any]) -> object:
    if getattr(column.type, "length", None) == len(UUID(int=0).hex) and isinstance(column.type, CHAR):
        return UUID(int=1).hex
    if isinstance(column.type, DateTime):
        return datetime(2026, 1, 5)  # noqa: DTZ001 - as the tables have it
    return 1 if isinstance(column.type, Numeric | Integer | Boolean) else "1"


def _count(connection: Connection, name: str) -> int:
    metadata = MetaData()
    metadata.reflect(connection, only=[name], resolve_fks=False)
    return connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0


def _is_sqlite(database: Database) -> bool:
    return database.url.get_backend_name() == "sqlite"
