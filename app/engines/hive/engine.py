"""The engine for HIVE tasks, by the HiveServer2 protocol."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

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
from app.engines.hive.connections import HiveConnections
from app.engines.hive.errors import ForgottenError
from app.engines.hive.handles import Operation
from app.engines.hive.job import HiveJob
from app.engines.hive.session import HiveSession
from app.engines.hive.statements import Statement, output_index, split_statements
from app.engines.hive.transport import HiveAddress
from app.engines.hive.udfs import not_registered, registration
from app.engines.hive.wire import HiveWire

_REMEMBERED = 1_000  # ended jobs that may still be polled
_CHECK_SECONDS = 5
_LOST = "This query is not known here (any more): the server has ended its session, or its rows were fetched."
# Sent for each session; what a server does not know it ignores. The settings may say otherwise.
_SESSION_SETTINGS: Mapping[str, str] = {
    # A text must arrive as it was written: both replace ${…} in it, comments and literals included.
    "hive.variable.substitute": "false",
    "spark.sql.variable.substitute": "false",
    "hive.resultset.use.unique.column.names": "false",  # else a label is `table.column`
    "hive.server2.long.polling.timeout": "500ms",  # how long a look at the status waits, and new log lines with it
    "hive.server2.async.exec.async.compile": "true",  # compiling takes seconds, and can be cancelled so
}


class HiveEngine:
    """Runs a task's statements in a session of its own; the rows of the last query are the output.

    A handle is durable where one statement does the work: statements of the session (SET, USE, ADD JAR and functions)
    before it are run by `submit`. What else has several statements lives and dies with this process.
    """

    kind = EngineKind.DIRECT
    types = frozenset({TaskType.HIVE})

    def __init__(
        self,
        *,
        name: str,
        address: HiveAddress,
        session_settings: Mapping[str, str] | None = None,
        max_size: int = 20,
        max_wait: timedelta = timedelta(seconds=30),
        max_idle: timedelta = timedelta(minutes=10),
    ) -> None:
        self.name = name
        self.capacity: int | None = max_size
        database = {} if address.database is None else {"use:database": address.database}
        wanted = {**_SESSION_SETTINGS, **(session_settings or {})}
        # By this prefix Hive and Spark set their own settings; without it Spark sets Hive's alone.
        self._settings = {f"set:hiveconf:{key}": value for key, value in wanted.items()} | database
        self._connections = HiveConnections(address=address, max_size=max_size, max_wait=max_wait, max_idle=max_idle)
        self._jobs: OrderedDict[str, HiveJob] = OrderedDict()

    async def submit(self, work: Work) -> Handle:
        statements = await asyncio.to_thread(_split, work.query)  # a long text takes a while to read
        registrations = [(udf, registration(udf)) for udf in work.udfs]
        session = await HiveSession.open(self._connections, self._settings)
        try:
            for udf, text in registrations:
                try:
                    await session.run(text)
                except TerminalEngineError as error:
                    raise not_registered(udf, error.message) from error
            while len(statements) > 1 and statements[0].is_of_the_session and output_index(statements) > 0:
                await session.run(statements.pop(0).text)
            operation = await session.begin(statements[0].text)
        except EngineError:
            await session.close()
            raise
        except BaseException:
            session.leave()
            raise
        return self._follow(session, operation, statements, limit=work.timeout)

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        return await (await self._job(handle)).poll(wait)

    async def cancel(self, handle: Handle) -> None:
        try:
            job = await self._job(handle)
        except ForgottenError:
            return
        await job.cancel()

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = await self._job(handle)
        if job.state is WorkState.RUNNING:  # joined just now, by a process that knows that it has succeeded
            await job.ended()
        try:
            await job.fetch(sink)
        finally:
            if job.state is WorkState.SUCCEEDED:
                self._jobs.pop(handle.text, None)  # its rows cannot come twice

    async def check(self) -> EngineHealth:
        try:
            async with asyncio.timeout(_CHECK_SECONDS), self._connections.beside() as connection:
                session = await connection.call(HiveWire.open_session, self._settings)
                await connection.call(HiveWire.close_session, session)
        except TimeoutError:
            return EngineHealth(healthy=False, message=f"The server opened no session within {_CHECK_SECONDS} s.")
        except EngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        """Nothing is kept here: what a task may write lies in the server's own tables."""

    async def close(self) -> None:
        jobs = list(self._jobs.values())
        self._jobs.clear()
        await asyncio.gather(*(job.leave() for job in jobs))
        await self._connections.close()

    def _follow(
        self, session: HiveSession, operation: Operation, statements: list[Statement], *, limit: timedelta | None
    ) -> Handle:
        output = output_index(statements)
        job = HiveJob(
            connections=self._connections,
            session=session,
            operation=operation,
            before=[statement.text for statement in statements[1 : output + 1]],
            after=[statement.text for statement in statements[output + 1 :]],
            limit=limit,
        )
        address = self._connections.address
        job.say(f"Running on {address.host}:{address.port} as operation {operation.key.name}")
        self._jobs[operation.text] = job
        self._forget_old()
        return Handle(text=operation.text, durable=job.is_durable)

    async def _job(self, handle: Handle) -> HiveJob:
        """The job of a handle; one of another process is joined, where the server still has it.

        Raises: ForgottenError (LOST), TransientEngineError.
        """
        job = self._jobs.get(handle.text)
        if job is not None:
            return job
        operation = Operation.read(handle.text)
        if operation is None:
            raise ForgottenError(_LOST)
        session = await HiveSession.join(self._connections, operation.session)
        try:
            await session.ask(HiveWire.status, operation)
        except ForgottenError:
            session.leave()
            raise ForgottenError(_LOST) from None
        except BaseException:
            session.leave()
            raise
        if (other := self._jobs.get(handle.text)) is not None:  # joined meanwhile
            session.leave()
            return other
        job = HiveJob(connections=self._connections, session=session, operation=operation)
        self._jobs[handle.text] = job
        return job

    def _forget_old(self) -> None:
        """Drop the oldest jobs that ended without being fetched; those that hold a session stay."""
        ended = [text for text, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for text in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._jobs[text]


def _split(query: str) -> list[Statement]:
    """The statements of a text. Raises: TerminalEngineError."""
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise TerminalEngineError(
            f"The query has a broken character at position {error.start + 1}, which no server takes; write it anew.",
            code="SYNTAX",
        ) from error
    statements = split_statements(query)
    if not statements:
        raise TerminalEngineError("The query holds no statement; write one.", code="SYNTAX")
    return statements
