"""A database with a table and two routines that write to it, and MySQL engines that read it or write to their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.driving import Driver
from tests.engines.mysql.driving import engine_for
from tests.support.mariadb import MariaDB


@pytest.fixture(scope="module")
def database(mariadb: MariaDB) -> str:
    name = mariadb.create_database()
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(20)); INSERT INTO t VALUES (1, 'a')", database=name)
    mariadb.execute(
        """
        DELIMITER //
        CREATE PROCEDURE sneaky() BEGIN SET SESSION TRANSACTION READ WRITE; DELETE FROM t; END //
        CREATE FUNCTION cunning() RETURNS INT BEGIN DELETE FROM t; RETURN 1; END //
        """,
        database=name,
    )
    return name


@pytest.fixture
async def reader(mariadb: MariaDB, database: str, tmp_path: Path) -> AsyncIterator[Driver]:
    async with engine_for(mariadb, tmp_path, database=database) as driver:
        yield driver


@pytest.fixture
async def writer(mariadb: MariaDB, tmp_path: Path) -> AsyncIterator[Driver]:
    async with engine_for(mariadb, tmp_path, database=mariadb.create_database(), read_only=False) as driver:
        yield driver
