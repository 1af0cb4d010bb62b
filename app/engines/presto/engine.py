"""The engine for tasks that run on a Presto or a Trino server."""

from collections import OrderedDict
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from app.domain.tasks import TaskType
from app.engines.base import (
    LOST,
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
from app.engines.presto.client import StatementClient
from app.engines.presto.job import PrestoJob
from app.engines.presto.session import PrestoSession
from app.engines.presto.statements import split_statements

_REMEMBERED = 1_000  # ended jobs that may still be polled
_WAIT = timedelta(seconds=30)


class PrestoEngine:
    """Runs a task's statements one after the other in one session; the rows of the last query are the output.

    A handle is the id of a query and the address of its next page: another process goes on by it, as long as that page
    is the last that was asked for or the next.
    """

    kind = EngineKind.DIRECT
    types = frozenset({TaskType.PRESTO})
    capacity: int | None = None  # the server has queues of its own

    def __init__(self, *, name: str, client: StatementClient, session: PrestoSession) -> None:
        self.name = name
        self._client = client
        self._session = session
        self._jobs: OrderedDict[str, PrestoJob] = OrderedDict()  # by the ids of their queries

    async def submit(self, work: Work) -> Handle:
        if work.udfs:
            raise TerminalEngineError(
                "Presto and Trino load functions only from plugins that are installed on the server, so a task cannot"
                " bring its own: take the UDFs off this task, or run it on Hive or Spark.",
                code="UNSUPPORTED",
            )
        statements = split_statements(work.query)
        if not statements:
            raise TerminalEngineError("The text has no statement.", code="SYNTAX")
        session = self._session.copy()
        session.single["Client-Info"] = f"task run {work.task_run_id}, attempt {work.attempt}"
        job = PrestoJob(client=self._client, session=session, statements=statements, limit=work.timeout)
        handle = await job.begin()
        self._remember(job)
        return handle

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        job = self._job(handle)
        poll = await job.poll(wait)
        self._remember(job)  # by the id of the statement that runs now
        return poll

    async def cancel(self, handle: Handle) -> None:
        try:
            job = self._job(handle)
        except TerminalEngineError:
            return
        await job.cancel()

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = self._job(handle)
        while job.state is WorkState.RUNNING:  # re-attached, and not polled yet
            await job.poll(_WAIT)
        await job.fetch(sink)

    async def check(self) -> EngineHealth:
        try:
            await self._client.check()
        except EngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        """Nothing is kept here: what a task writes lies in the server's own catalogues."""

    async def close(self) -> None:
        jobs = {id(job): job for job in self._jobs.values()}
        self._jobs.clear()
        for job in jobs.values():
            await job.leave()
        await self._client.close()

    def _job(self, handle: Handle) -> PrestoJob:
        query_id, _, uri = handle.text.partition(" ")
        job = self._jobs.get(query_id)
        if job is None:
            if not _is_of_a_statement(uri):
                raise TerminalEngineError("The server was never given this work, or long ago.", code=LOST)
            job = PrestoJob(client=self._client, session=self._session.copy(), attached=(query_id, uri))
            self._remember(job)
        return job

    def _remember(self, job: PrestoJob) -> None:
        self._jobs[job.query_id] = job
        while len(self._jobs) > _REMEMBERED and next(iter(self._jobs.values())).state is not WorkState.RUNNING:
            self._jobs.popitem(last=False)


def _is_of_a_statement(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme in {"http", "https"} and "/v1/statement/" in parts.path
