"""A Hive engine on the tests' own Spark, driven."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.hive.engine import HiveEngine
from app.engines.hive.transport import HiveAddress
from tests.engines.driving import Driver
from tests.support.spark import SparkServer

Make = Callable[..., Driver]


@pytest.fixture
async def make(spark_server: SparkServer, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes drivers of engines with arguments of their own, closed at the end."""
    made: list[Driver] = []

    def one(*, port: int | None = None, **arguments) -> Driver:
        address = HiveAddress(host=spark_server.host, port=port or spark_server.hive_port)
        engine = HiveEngine(**{"name": "hive", "address": address, **arguments})
        made.append(Driver(engine, type=TaskType.HIVE, folder=tmp_path))
        return made[-1]

    yield one
    for driver in made:
        await driver.engine.close()


@pytest.fixture
def driver(make: Make) -> Driver:
    return make()
