"""The Presto engine as the contract suite asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.engines.presto.dialect import Dialect
from tests.engines.contract import SQL_TEXT, Candidate
from tests.engines.presto.driving import driver_for
from tests.support.presto import PrestoServer

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


@asynccontextmanager
async def presto(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: PrestoServer = request.getfixturevalue("presto_server")

    async def gone() -> bool:
        return not any("sequence(1, 10000)" in query.text for query in server.running)

    async with driver_for(server.url, Dialect.PRESTO, folder) as driver:
        yield Candidate(driver=driver, queries=QUERIES, gone=gone)
