"""The Presto engine as the contract suite asks it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from app.engines.presto.dialect import Dialect
from tests.engines.contract import SQL_TEXT, Candidate
from tests.engines.presto.driving import driver_for, engine_for, running
from tests.support.presto import PrestoServer
from tests.support.presto_jvm import PrestoJvm, brought

QUERIES = {
    "values": "SELECT 1 AS \"Id\", CAST(NULL AS varchar) AS nothing, '' AS blank, 'é🙂' AS \"Läbel\", 2.50 AS price",
    "awkward": f"SELECT {SQL_TEXT} AS text -- it's a `comment`, $HOME\n",
    "many": (
        "SELECT (a - 1) * 1000 + b AS n, 'a text of some length that fills the row up' AS text"
        " FROM UNNEST(sequence(1, 1000)) AS t (a) CROSS JOIN UNNEST(sequence(1, 1000)) AS u (b)"
    ),
    "endless": (
        "SELECT COUNT(*) AS c FROM UNNEST(sequence(1, 10000)) AS t (a) CROSS JOIN UNNEST(sequence(1, 10000)) AS u (b)"
        " CROSS JOIN UNNEST(sequence(1, 10000)) AS v (c) CROSS JOIN UNNEST(sequence(1, 10000)) AS w (d)"
        " WHERE (a * b + c) % 7 = d % 5"
    ),
    "empty": "SELECT 1 AS a WHERE 1 = 0",
    "wrong": "SELECT 1 FROM WHERE",
    "missing": "SELECT * FROM not_there",
    "logged": "SELECT 1 AS a",
}


def presto(request: pytest.FixtureRequest, folder: Path) -> AbstractAsyncContextManager[Candidate]:
    """Over the tests' own server."""
    server: PrestoServer = request.getfixturevalue("presto_server")
    return _candidate(server.url, Dialect.PRESTO, folder, begins_after=0.5)


def presto_jvm(request: pytest.FixtureRequest, folder: Path) -> AbstractAsyncContextManager[Candidate]:
    server: PrestoJvm = request.getfixturevalue("presto_jvm")
    return _candidate(server.url, Dialect.PRESTO, folder)


def trino_jvm(request: pytest.FixtureRequest, folder: Path) -> AbstractAsyncContextManager[Candidate]:
    server: PrestoJvm = request.getfixturevalue("trino_jvm")
    return _candidate(server.url, Dialect.TRINO, folder)


# Real servers where they were brought; nobody has to.
REAL = [make for dialect, make in ((Dialect.PRESTO, presto_jvm), (Dialect.TRINO, trino_jvm)) if brought(dialect)]


@asynccontextmanager
async def _candidate(
    url: str, dialect: Dialect, folder: Path, *, begins_after: float = 1.5
) -> AsyncIterator[Candidate]:
    async def gone() -> bool:
        return not await running(url, "sequence(1, 10000)")

    async with driver_for(url, dialect, folder) as driver:
        yield Candidate(
            driver=driver,
            queries=QUERIES,
            gone=gone,
            begins_after=begins_after,
            twin=lambda: engine_for(url, dialect),
        )
