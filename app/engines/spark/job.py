"""One piece of SQL on a Spark Connect server: from its first statement to the last row of its output."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type

from app.domain.outputs import OutputColumn
from app.engines.base import EngineError, OutputSink, TransientEngineError, WorkUdf
from app.engines.pyspark.cells import type_name
from app.engines.pyspark.script import in_thread
from app.engines.running import RunningWork
from app.engines.spark.client import SparkClient
from app.engines.spark.errors import HandleError
from app.engines.spark.functions import query_plan, registration, upload
from app.engines.spark.spool import RowSpool
from app.engines.spark.statements import Statement


def operation_of(session: str, number: int) -> str:
    """The id of a session's statement; whoever knows the session knows it."""
    return str(uuid5(UUID(session), str(number)))


class SqlJob(RunningWork):
    """Runs statements in a session of its own, or takes over the one operation of a session, without `statements`.

    Rows are taken from the server as they come, so that a large result lies on neither side in memory.
    """

    def __init__(
        self,
        *,
        client: SparkClient,
        session: str,
        statements: Sequence[Statement] | None,
        udfs: Sequence[WorkUdf] = (),
        conf: Mapping[str, str] | None = None,
        limit: timedelta | None = None,
        scratch: Path,
    ) -> None:
        self._client = client
        self._session = session
        self._statements = statements
        self._udfs = udfs
        self._conf = conf or {}
        self._scratch = scratch
        self._spool: RowSpool | None = None
        self._spooled_query = False
        self._tasks = (0, 0)
        self._let_go = False  # the session is another process's from now on
        super().__init__(noun="query", limit=limit)

    async def fetch(self, sink: OutputSink) -> None:
        self.check_succeeded()
        spool, self._spool = self._spool, None
        try:
            if spool is None or not spool.columns:
                await sink.write_rows((), _no_rows())
            else:
                await sink.write_records(spool.columns, in_thread(spool.records(sink.delimiter)))
        finally:
            if spool is not None:
                spool.close()
            await self.discard()

    async def discard(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if not self._let_go:
            with suppress(EngineError):  # the server ends it by itself, later
                await self._client.release(self._session)

    def leave(self) -> None:
        """Listen no longer, and let the work go on in the server, where another process may take it over."""
        self._stopped = True
        self._let_go = True
        self.task.cancel()

    async def _work(self) -> None:
        try:
            await self._run_statements()
        except HandleError as error:
            self._let_go = error.is_taken
            raise

    async def _run_statements(self) -> None:
        if self._statements is None:
            self.say("Taken over from another process")
            await self._take(self._client.attach(self._session, operation_of(self._session, 0)), is_query=True)
            return
        await self._prepare_session()
        for number, statement in enumerate(self._statements):
            if self._stopped:
                return
            started = asyncio.get_running_loop().time()
            responses = self._client.execute(
                self._session, operation_of(self._session, number), query_plan(statement.text)
            )
            rows = await self._take(responses, is_query=statement.is_query)
            seconds = asyncio.get_running_loop().time() - started
            self.say(f"Statement {number + 1} of {len(self._statements)}: {rows} rows in {seconds:.3f} s")

    async def _prepare_session(self) -> None:
        try:
            if self._conf:
                await self._client.configure(self._session, self._conf)
            await self._bring_functions()
        except HandleError as error:  # ended by another process, or forgotten: this one has run nothing in it yet
            raise TransientEngineError(f"The Spark server has lost the session: {error}", code="CONNECTION") from error

    async def _halt(self) -> None:
        with suppress(EngineError):  # unknown to the server, as yet or already
            await self._client.interrupt(self._session)
        with suppress(EngineError):
            await self._client.release(self._session)  # whatever comes too late for the first is refused now
        self.task.cancel()

    async def _bring_functions(self) -> None:
        if not self._udfs:
            return
        requests = await asyncio.to_thread(list, upload(self._udfs, self._session, self._client.address))
        await self._client.add_artifacts(requests)
        for number, udf in enumerate(self._udfs):
            operation = operation_of(self._session, -1 - number)
            async for _response in self._client.execute(self._session, operation, registration(udf)):
                pass
            self.say(f"Registered the function {udf.function_name}")

    async def _take(self, responses: AsyncIterator[Any], *, is_query: bool) -> int:
        """Follow an operation to its end; its rows become the output unless they only answer a command."""
        spool: RowSpool | None = None
        try:
            async with aclosing(responses) as stream:  # type: ignore[type-var]  # an asynchronous generator
                async for response in stream:
                    if response.HasField("schema"):
                        spool = RowSpool(columns=_columns(response.schema), folder=self._scratch)
                    if response.HasField("arrow_batch") and spool is not None:
                        batch = response.arrow_batch
                        spool.add(batch.data, rows=batch.row_count if batch.chunk_index == 0 else 0)
                    if response.HasField("execution_progress"):
                        self._tell_progress(response.execution_progress.stages)
            if spool is None:
                return 0
            count = spool.row_count
            if spool.columns and (is_query or not self._spooled_query):
                spool, self._spool = self._spool, spool
                self._spooled_query = is_query
            return count
        finally:
            if spool is not None:
                spool.close()

    def _tell_progress(self, stages: Sequence[Any]) -> None:
        done = sum(stage.num_completed_tasks for stage in stages)
        tasks = sum(stage.num_tasks for stage in stages)
        if tasks and (done, tasks) != self._tasks:
            self._tasks = (done, tasks)
            self._progress = min(done / tasks, 1.0)
            self.say(f"{done} of {tasks} tasks")


def _columns(schema: Any) -> tuple[OutputColumn, ...]:
    fields = proto_schema_to_pyspark_data_type(schema).fields  # type: ignore[attr-defined]  # a result is a struct
    return tuple(OutputColumn(name=field.name, type=type_name(field.dataType)) for field in fields)


async def _no_rows() -> AsyncIterator[Sequence[Sequence[Any]]]:
    return
    yield  # makes it a generator
