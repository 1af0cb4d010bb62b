"""A session on the warm Spark."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.support.spark import SparkServer


@pytest.fixture(scope="module")
def spark(spark_server: SparkServer) -> Iterator[Any]:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - takes a while, and not every test of the folder needs it

    session = SparkSession.builder.remote(f"{spark_server.connect_url}/;session_id={uuid4()}").create()
    session.conf.set("spark.sql.files.maxPartitionBytes", "5000b")  # several parts of each file
    # Planning anew after each stage, and compiling each query, takes longer than these do: tests.engines.spark and .emr
    # compare as Spark does by itself.
    session.conf.set("spark.sql.adaptive.enabled", "false")
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()
