"""The MySQL engine as the contract suite asks it, on a real MariaDB."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.mysql.engine import MysqlEngine
from tests.engines.contract import MANY, SQL_TEXT, Candidate
from tests.engines.driving import Driver
from tests.support.mariadb import MariaDB

QUERIES = {
    "values": "SELECT 1 AS `Id`, CAST(NULL AS CHAR) AS nothing, '' AS blank, 'é🙂' AS `Läbel`, 2.50 AS price",
    "awkward": f"SELECT {SQL_TEXT} AS text -- it's a `comment`, $HOME\n",
    "many": f"SELECT seq AS n, 'a text of some length that fills the row up' AS text FROM seq_1_to_{MANY}",
    "endless": "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b WHERE (a.seq * b.seq) % 7 = 3",
    "empty": "SELECT 1 AS a FROM DUAL WHERE 1 = 0",
    "wrong": "SELECT 1 FROM WHERE",
    "missing": "SELECT * FROM not_there",
    "logged": "SELECT 1 AS a",
}


@asynccontextmanager
async def mysql(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: MariaDB = request.getfixturevalue("mariadb")
    engine = MysqlEngine(
        name="mysql",
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.create_database(),
    )

    async def gone() -> bool:
        return "seq_1_to_1000000 a" not in await asyncio.to_thread(server.execute, "SHOW FULL PROCESSLIST")

    yield Candidate(driver=Driver(engine, type=TaskType.MYSQL, folder=folder), queries=QUERIES, gone=gone)
    await engine.close()
