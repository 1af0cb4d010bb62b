"""Engines on the tests' own server, as Presto's client and as Trino's; and on the real ones, where they are."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.engines.presto.dialect import Dialect
from tests.engines.driving import Driver
from tests.engines.presto.driving import driver_for
from tests.support.presto import PrestoServer
from tests.support.presto_jvm import brought

SERVERS = [("presto_server", Dialect.PRESTO), ("presto_server", Dialect.TRINO)]
SERVERS += [(f"{dialect.lower()}_jvm", dialect) for dialect in Dialect if brought(dialect)]


@pytest.fixture(params=SERVERS, ids="-".join)
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """An engine on each server that is here, one after the other."""
    fixture, dialect = request.param
    async with driver_for(request.getfixturevalue(fixture).url, dialect, tmp_path) as driver:
        yield driver


@pytest.fixture
async def driver(presto_server: PrestoServer, tmp_path: Path) -> AsyncIterator[Driver]:
    """An engine on the tests' own server, which can be told to misbehave."""
    async with driver_for(presto_server.url, Dialect.PRESTO, tmp_path) as driver:
        yield driver
