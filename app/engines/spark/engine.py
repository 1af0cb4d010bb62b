"""The engine for SPARK_SQL and PYSPARK tasks on a Spark Connect server."""

import asyncio
import re
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
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
from app.engines.comparing.question import Question
from app.engines.comparing.work import Document, Write
from app.engines.pyspark.runners import Runners
from app.engines.pyspark.script import ScriptJob
from app.engines.spark.comparison import ComparisonJob
from app.engines.spark.errors import HandleError
from app.engines.spark.job import SqlJob
from app.engines.spark.local import Distribution
from app.engines.spark.server import SparkServer
from app.engines.spark.session import SessionSurroundings
from app.engines.spark.statements import split_statements
from app.engines.spark.submission import Submissions

_REMEMBERED = 1_000  # ended jobs that may still be polled
# What another process needs to take a query over: its session, and that it is the session's only statement.
_HANDLE = re.compile(r"spark:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

# A text means what it says: else ${x} in it would be the value of a key, and nothing where there is none.
_SESSION_CONF = {"spark.sql.variable.substitute": "false"}

Job = SqlJob | ScriptJob


class SparkEngine:
    """Each attempt has a session of its own on the server, so that no task sees another's views and functions.

    `conf` is set in every one of them. A single statement is durable: while the server still holds its first row, any
    process can take it over. Of several statements those that follow are known to this process alone, as a script is.
    Scripts are clients of the server, too; with `submit`, drivers of their own, started from that distribution.
    """

    kind = EngineKind.DIRECT
    compares_on = "Spark Connect"
    types = frozenset({TaskType.SPARK_SQL, TaskType.PYSPARK})

    def __init__(
        self,
        *,
        name: str,
        server: SparkServer,
        scratch: Path,
        conf: Mapping[str, str] | None = None,
        submit: Distribution | None = None,
        spare: bool = True,
        capacity: int | None = 32,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self._server = server
        self._conf = _SESSION_CONF | dict(conf or {})
        self._scratch = scratch.resolve() / f"spark-{uuid4().hex}"
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._surroundings = SessionSurroundings(server, conf=self._conf)
        home = self._scratch / "home"
        self._runners: Runners | Submissions = (
            Runners(home=home, spare=spare, remote=self._surroundings.enter)
            if submit is None
            else Submissions(distribution=submit, home=home)
        )

    async def submit(self, work: Work) -> Handle:
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        if work.type is TaskType.PYSPARK:
            job: Job = ScriptJob(
                work=work, folder=self._scratch / uuid4().hex, surroundings=self._surroundings, runners=self._runners
            )
            return self._keep(Handle(text=uuid4().hex, durable=False), job)
        statements = await asyncio.to_thread(split_statements, _utf8(work.query))
        if not statements:
            raise TerminalEngineError("The query holds no statement; write one.", code="SYNTAX")
        session = str(uuid4())
        job = SqlJob(
            client=await self._server.client(),
            session=session,
            statements=statements,
            udfs=work.udfs,
            conf=self._conf,
            limit=work.timeout,
            scratch=self._scratch,
        )
        durable = len(statements) == 1 and self._server.outlives_this_process
        return self._keep(Handle(text=f"spark:{session}" if durable else session, durable=durable), job)

    async def begin_comparison(self, question: Question, *, run_id: UUID, playground_id: UUID) -> Handle:
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        job = ComparisonJob(
            question,
            run_id=run_id,
            playground_id=playground_id,
            folder=self._scratch / uuid4().hex,
            surroundings=self._surroundings,
            runners=self._runners,
        )
        return self._keep(Handle(text=uuid4().hex, durable=False), job)

    async def take_comparison(self, handle: Handle, write: Write) -> Document:
        job = await self._job(handle)
        if not isinstance(job, ComparisonJob):
            raise TerminalEngineError("This work is no comparison.", code="NO_OUTPUT")
        await asyncio.wait({job.task})
        document = await job.take(write)
        self._jobs.pop(handle.text, None)
        return document

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        job = await self._job(handle)
        poll = await job.poll(wait)
        if isinstance(poll.error, HandleError):
            self._jobs.pop(handle.text, None)
            raise poll.error
        return poll

    async def cancel(self, handle: Handle) -> None:
        job = self._jobs.get(handle.text)
        known = _HANDLE.fullmatch(handle.text)
        if job is not None:
            await job.stop()
        elif known is not None:  # another process began it
            client = await self._server.client()
            for stop in (client.interrupt, client.release):
                with suppress(EngineError):
                    await stop(known[1])

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = await self._job(handle)
        await asyncio.wait({job.task})
        try:
            await job.fetch(sink)
        finally:
            if job.state is WorkState.SUCCEEDED:
                self._jobs.pop(handle.text, None)  # its rows are gone

    async def check(self) -> EngineHealth:
        try:
            await self._server.check()
        except EngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        """Nothing is kept here: tables that a task makes are the server's own."""

    async def close(self) -> None:
        jobs = list(self._jobs.items())
        self._jobs.clear()
        for text, job in jobs:
            if isinstance(job, SqlJob) and _HANDLE.fullmatch(text):
                job.leave()
            else:
                await job.stop()
        await asyncio.gather(*(job.task for _, job in jobs), return_exceptions=True)
        for _, job in jobs:
            await job.discard()  # what nobody has fetched
        await self._runners.close()
        await self._server.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _keep(self, handle: Handle, job: Job) -> Handle:
        self._jobs[handle.text] = job
        ended = [text for text, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for text in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._jobs[text]
        return handle

    async def _job(self, handle: Handle) -> Job:
        job = self._jobs.get(handle.text)
        if job is not None:
            return job
        known = _HANDLE.fullmatch(handle.text)
        if known is None:
            raise TerminalEngineError(
                "This work is not known here (any more): the worker that ran it has gone, and the work with it.",
                code="LOST",
            )
        client = await self._server.client()
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        job = self._jobs.get(handle.text) or SqlJob(
            client=client, session=known[1], statements=None, scratch=self._scratch
        )
        self._keep(handle, job)
        return job


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"The query has a broken character at position {error.start + 1}, which no server takes; write it anew."
        )
        raise TerminalEngineError(message, code="SYNTAX") from error
    return text
