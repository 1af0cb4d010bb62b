"""The Spark engines that the settings describe."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from app.engines.base import Engine
from app.settings import ConnectorSettings, SparkConnectionSettings


def spark_engines(connector: ConnectorSettings) -> Sequence[Engine]:
    return [spark_engine(name, server) for name, server in connector.spark_servers.items()]


def spark_engine(name: str, settings: SparkConnectionSettings) -> Engine:
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    # The client is an optional package, which who has no Spark needs not have.
    from app.engines.spark.address import SparkAddress  # noqa: PLC0415
    from app.engines.spark.engine import SparkEngine  # noqa: PLC0415
    from app.engines.spark.local import Distribution, LocalServer  # noqa: PLC0415
    from app.engines.spark.server import RemoteServer, SparkServer  # noqa: PLC0415

    scratch = settings.directory or Path(tempfile.gettempdir()) / "data-phantom"
    distribution = Distribution(
        home=settings.home_with(os.environ.get("SPARK_HOME")) or Path("SPARK_HOME"),
        master=settings.master,
        driver_memory_bytes=settings.driver_memory,
        conf=settings.conf,
    )
    server: SparkServer = (
        LocalServer(distribution=distribution, folder=scratch / f"{name}-{os.getpid()}")
        if settings.remote is None
        else RemoteServer(SparkAddress.parse(settings.remote.get_secret_value()))
    )
    return SparkEngine(
        name=name,
        server=server,
        scratch=scratch,
        conf=settings.session_conf,
        capacity=settings.max_tasks,
        submit=distribution if settings.submit else None,
    )
