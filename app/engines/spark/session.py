"""The session that a PySpark script has on a Spark Connect server, with the functions that the task brings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from app.engines.base import EngineError, UdfKind, Work
from app.engines.pyspark.process import Remote
from app.engines.spark.functions import hive_registration
from app.engines.spark.server import SparkServer


class SessionSurroundings:
    """A script sees what the server has; what it saves is the server's own."""

    not_installed = "PySpark tasks need packages that are not installed here: pip install 'data-phantom[pyspark]'."

    def __init__(self, server: SparkServer, *, conf: Mapping[str, str]) -> None:
        self._server = server
        self._conf = conf

    async def enter(self) -> Remote:
        client = await self._server.client()
        session = str(uuid4())
        return Remote(url=client.address.url(session), session=session)

    def prepare(self, work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
        functions = [
            {"sql": hive_registration(udf)}
            if udf.kind is UdfKind.HIVE
            else {"name": udf.function_name, "class": udf.class_name, "returns": udf.return_type}
            for udf in work.udfs
        ]
        jars = sorted({str(udf.jar) for udf in work.udfs})
        return {"conf": dict(self._conf), "jars": jars, "functions": functions}, [
            f"Brings the function {udf.function_name}" for udf in work.udfs
        ]

    def conclude(self, work: Work, outcome: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 - nothing is left
        return ()

    async def leave(self, remote: Remote) -> None:
        client = await self._server.client()
        for stop in (client.interrupt, client.release):
            with suppress(EngineError):  # unknown to the server, as yet or already
                await stop(remote.session)
