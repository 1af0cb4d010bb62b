"""The EMR engine as the contract suite asks it: moto, a runner of its steps, and a Presto that they talk to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.emr.engine import EmrEngine
from tests.engines.contract import Candidate
from tests.engines.driving import Driver
from tests.engines.emr.harness import emr_at_work
from tests.engines.presto.candidate import QUERIES
from tests.engines.presto.driving import running
from tests.support.presto import PrestoServer

_OBJECT_IN_MOTO = 60_000_000  # moto takes the body of a PUT into memory, and Presto's 45 MB come in one


@asynccontextmanager
async def emr(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: PrestoServer = request.getfixturevalue("presto_server")
    with emr_at_work(folder / "steps") as cluster:
        engine = cluster.engine(presto_url=server.url)

        async def gone() -> bool:
            return not await running(server.url, "sequence(1, 10000)") and not cluster.runner.pids

        def twin() -> EmrEngine:
            return cluster.engine(presto_url=server.url)

        driver = Driver(engine, type=TaskType.PRESTO, folder=folder)
        yield Candidate(
            driver=driver,
            queries=QUERIES,
            gone=gone,
            begins_after=1,
            twin=twin,
            served_here=_OBJECT_IN_MOTO,
        )
        await engine.close()
