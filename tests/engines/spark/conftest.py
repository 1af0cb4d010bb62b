"""The Spark engine, driven by SQL texts and by scripts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.spark.engine import SparkEngine
from tests.engines.driving import Driver
from tests.engines.spark.candidate import engine_at
from tests.support.spark import SparkServer


@pytest.fixture
async def engine(spark_server: SparkServer, tmp_path: Path) -> AsyncIterator[SparkEngine]:
    engine = engine_at(spark_server, tmp_path)
    yield engine
    await engine.close()


@pytest.fixture
def sql(engine: SparkEngine, tmp_path: Path) -> Driver:
    return Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path)


@pytest.fixture
def script(engine: SparkEngine, tmp_path: Path) -> Driver:
    return Driver(engine, type=TaskType.PYSPARK, folder=tmp_path)
