"""Engines for a server of the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.domain.tasks import TaskType
from app.engines.presto.configured import presto_engine
from app.engines.presto.dialect import Dialect
from app.settings import PrestoConnectionSettings
from tests.engines.driving import Driver


@asynccontextmanager
async def driver_for(
    url: str, dialect: Dialect, folder: Path, *, place: str = "/memory/default", **settings: Any
) -> AsyncIterator[Driver]:
    engine = presto_engine(str(dialect).lower(), PrestoConnectionSettings(url=url + place, **settings), dialect)
    try:
        yield Driver(engine, type=TaskType.PRESTO, folder=folder)
    finally:
        await engine.close()
