"""The embedded engine for PySpark scripts: each runs in a process of its own, on a Spark server without a JVM."""

import asyncio
import importlib.util
import shutil
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.domain.tasks import TaskType
from app.engines.base import (
    EngineError,
    EngineHealth,
    EngineKind,
    Handle,
    OutputSink,
    Poll,
    TerminalEngineError,
    Work,
    WorkState,
)
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.failures import refuse_udfs
from app.engines.pyspark.process import Remote
from app.engines.pyspark.runners import Runners
from app.engines.pyspark.script import ScriptJob

_REMEMBERED = 1_000  # ended jobs that may still be polled
_MISSING = (
    "PySpark tasks need packages that are not installed here: pip install 'data-phantom[pyspark]', or configure a"
    " connection to a real Spark."
)


class EmbeddedPysparkEngine:
    """Runs scripts on pysail; what a script assigns to `result` is the output.

    With `spare`, a runner is kept warm once there was a first script (some 150 MB, for ten minutes): a small script
    then takes 0.3 s instead of 1.5 s. `remote` is the address of a real Spark Connect server (`sc://host:15002`) in
    place of pysail: tables that a script saves are Spark's own then, and the playground's tables are there where that
    Spark can read their files.
    """

    kind = EngineKind.EMBEDDED
    types = frozenset({TaskType.PYSPARK})

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        scratch: Path,
        spare: bool = True,
        remote: str | None = None,
        name: str = "pyspark",
        capacity: int | None = None,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self._scratch = scratch.resolve() / f"pyspark-{uuid4().hex}"
        self._jobs: OrderedDict[str, ScriptJob] = OrderedDict()
        self._surroundings = _PlaygroundTables(catalogue)
        self._runners = Runners(
            home=self._scratch / "home",
            spare=spare,
            remote=None if remote is None else lambda: _session_at(remote),
        )

    async def submit(self, work: Work) -> Handle:
        refuse_udfs(work)
        _check_installed()
        job = ScriptJob(
            work=work, folder=self._scratch / uuid4().hex, surroundings=self._surroundings, runners=self._runners
        )
        handle = Handle(text=uuid4().hex, durable=False)
        self._jobs[handle.text] = job
        self._forget_old()
        return handle

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        return await self._job(handle).poll(wait)

    async def cancel(self, handle: Handle) -> None:
        job = self._jobs.get(handle.text)
        if job is not None:
            await job.stop()

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = self._job(handle)
        try:
            await job.fetch(sink)
        finally:
            if job.state is WorkState.SUCCEEDED:
                self._jobs.pop(handle.text, None)  # its rows are gone

    async def check(self) -> EngineHealth:
        try:
            _check_installed()
        except TerminalEngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        """The SQL engine of the same catalogue removes the tables."""

    async def close(self) -> None:
        jobs = list(self._jobs.values())
        self._jobs.clear()
        for job in jobs:
            await job.stop()
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)
        await self._runners.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _job(self, handle: Handle) -> ScriptJob:
        job = self._jobs.get(handle.text)
        if job is None:
            raise TerminalEngineError(
                "This script is not known here (any more): the worker that ran it has gone, and the script with it.",
                code="LOST",
            )
        return job

    def _forget_old(self) -> None:
        ended = [text for text, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for text in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._jobs[text]


class _PlaygroundTables:
    """Scripts find the playground's tables as views; those that they save become the playground's."""

    not_installed = _MISSING

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def prepare(self, work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
        tables = self._catalogue.tables(work.playground_id)
        paths, lines = {}, []
        for name in tables:
            try:
                paths[name] = str(tables[name])
            except EngineError as error:  # of no concern to a script that does not use the table
                lines.append(f"The table {name} is not available: {error.message}")
        return {"tables": paths}, lines

    def conclude(self, work: Work, outcome: Mapping[str, Any]) -> Sequence[str]:
        for table in outcome["tables"]:
            self._catalogue.publish(work.playground_id, table["name"], Path(table["file"]))
        return [f"Saved the table {table['name']}" for table in outcome["tables"]]

    async def leave(self, remote: Remote) -> None:
        """A script's Spark is its process itself."""


async def _session_at(address: str) -> Remote:
    return Remote(url=address, session="")


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("pysail", "pyspark")):
        raise TerminalEngineError(_MISSING, code="NOT_INSTALLED")
