"""The engine for tasks that run on a MySQL or MariaDB server."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from asyncmy.errors import MySQLError
from pydantic import SecretStr

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
from app.engines.mysql.catalogue import columns_of
from app.engines.mysql.connections import MysqlAddress, MysqlConnections, Validation
from app.engines.mysql.errors import engine_error
from app.engines.mysql.guard import Metadata, StatementGuard, same_server
from app.engines.mysql.job import MysqlJob
from app.engines.mysql.statements import Statement, split_statements

_REMEMBERED = 1_000  # ended jobs that may still be polled


class MysqlEngine:
    """Runs a task's statements one after the other; the rows of the last query are the output.

    A handle lives as long as this process: the rows wait on its connection. `forbidden` is the platform's own metadata
    database (host, port, name), which no task may touch even where the account could.
    """

    kind = EngineKind.DIRECT
    types = frozenset({TaskType.MYSQL})

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int = 3306,
        user: str,
        password: SecretStr | str = "",
        database: str | None = None,
        tls: ssl.SSLContext | None = None,
        min_size: int = 0,
        max_size: int = 20,
        max_wait: timedelta = timedelta(seconds=30),
        max_idle: timedelta = timedelta(minutes=10),
        max_age: timedelta = timedelta(minutes=30),
        validation: Validation = Validation(),  # noqa: B008 - it is frozen
        read_only: bool = True,
        forbidden: tuple[str, int, str] | None = None,
    ) -> None:
        self.name = name
        self.capacity: int | None = max_size
        secret = password.get_secret_value() if isinstance(password, SecretStr) else password
        self._address = MysqlAddress(
            host=host, port=port, user=user, password=secret, database=database or None, tls=tls
        )
        self._connections = MysqlConnections(
            address=self._address,
            min_size=min_size,
            max_size=max_size,
            max_wait=max_wait,
            max_idle=max_idle,
            max_age=max_age,
            validation=validation,
        )
        self._read_only = read_only
        self._forbidden = (
            None if forbidden is None else Metadata(host=forbidden[0], port=forbidden[1], database=forbidden[2])
        )
        self._jobs: OrderedDict[str, MysqlJob] = OrderedDict()

    async def submit(self, work: Work) -> Handle:
        guard = await self._guard()
        guard.check_database(self._address.database)
        statements = await asyncio.to_thread(_checked, work.query, guard)  # a long text takes seconds to read
        job = MysqlJob(work=work, statements=statements, connections=self._connections, guard=guard)
        handle = Handle(text=uuid4().hex, durable=False)
        self._jobs[handle.text] = job
        self._forget_old()
        return handle

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        return await self._job(handle).poll(wait)

    async def cancel(self, handle: Handle) -> None:
        job = self._jobs.get(handle.text)
        if job is not None:
            await job.cancel()

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = self._job(handle)
        try:
            await job.fetch(sink)
        finally:
            if job.state is WorkState.SUCCEEDED:
                self._jobs.pop(handle.text, None)  # its rows cannot come twice

    async def check(self) -> EngineHealth:
        try:
            guard = await self._guard()
            guard.check_database(self._address.database)
            await self._connections.check()
        except EngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def columns(self, tables: Collection[str], *, playground_id: UUID | None) -> Mapping[str, Sequence[str]]:  # noqa: ARG002 - a server knows no playgrounds
        """Of the tables that the account may see; the platform's own are none of them."""
        guard = await self._guard()
        guard.check_database(self._address.database)
        connection = await self._connections.acquire()
        reusable = False
        try:
            found = await columns_of(connection, tables, database=self._address.database, guard=guard)
            reusable = True
        except (MySQLError, OSError) as error:
            raise engine_error(error) from error
        finally:
            await self._connections.release(connection, reusable=reusable)
        return found

    async def forget(self, playground_id: UUID) -> None:
        """Nothing is kept here: what a task may write lies in the server's own tables."""

    async def close(self) -> None:
        jobs = list(self._jobs.values())
        self._jobs.clear()
        await asyncio.gather(*(job.cancel() for job in jobs))
        await asyncio.gather(*(job.wait() for job in jobs))
        await self._connections.close()

    def _job(self, handle: Handle) -> MysqlJob:
        job = self._jobs.get(handle.text)
        if job is None:
            raise TerminalEngineError(
                "This query is not known here (any more): the worker that ran it has gone, and its rows with it.",
                code="LOST",
            )
        return job

    async def _guard(self) -> StatementGuard:
        # Asked anew each time: names may come to point elsewhere, and the answer costs less than a query.
        forbidden = self._forbidden
        if forbidden is not None and not await same_server(
            self._address.host, self._address.port, forbidden.host, forbidden.port
        ):
            forbidden = None
        return StatementGuard(connection=self.name, read_only=self._read_only, metadata=forbidden)

    def _forget_old(self) -> None:
        """Drop the oldest jobs that ended without being fetched; those that hold a connection stay."""
        ended = [text for text, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for text in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._jobs[text]


def _checked(query: str, guard: StatementGuard) -> list[Statement]:
    """The statements of a text, each passed by the guard. Raises: TerminalEngineError."""
    statements = split_statements(_utf8(query))
    if not statements:
        raise TerminalEngineError("The query holds no statement; write one.", code="SYNTAX")
    for statement in statements:
        guard.check(statement)
    return statements


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TerminalEngineError(
            f"The query has a broken character at position {error.start + 1}, which no server takes; write it anew.",
            code="SYNTAX",
        ) from error
    return text
