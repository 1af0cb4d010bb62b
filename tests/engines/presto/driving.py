"""Engines for a server of the tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.domain.tasks import TaskType
from app.engines.presto.configured import presto_engine
from app.engines.presto.dialect import Dialect
from app.engines.presto.engine import PrestoEngine
from app.settings import PrestoConnectionSettings
from tests.engines.driving import Driver

_ENDED = {"FINISHED", "FAILED"}


def engine_for(url: str, dialect: Dialect, *, place: str = "/memory/default", **settings: Any) -> PrestoEngine:
    return presto_engine(dialect.lower(), PrestoConnectionSettings(url=url + place, **settings), dialect)


@asynccontextmanager
async def driver_for(url: str, dialect: Dialect, folder: Path, **settings: Any) -> AsyncIterator[Driver]:
    engine = engine_for(url, dialect, **settings)
    try:
        yield Driver(engine, type=TaskType.PRESTO, folder=folder)
    finally:
        await engine.close()


async def running(url: str, words: str) -> Sequence[str]:
    """The ids of the queries with these words that the server works on, as it tells everybody who asks."""
    async with httpx.AsyncClient(headers={"X-Presto-User": "tests", "X-Trino-User": "tests"}) as client:
        queries = (await client.get(f"{url}/v1/query", timeout=10)).json()
    return [query["queryId"] for query in queries if words in query["query"] and query["state"] not in _ENDED]
