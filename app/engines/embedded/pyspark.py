"""The embedded engine for PySpark scripts: each runs in a process of its own, on a Spark server without a JVM."""

import asyncio
import importlib.util
import json
import logging
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.domain.outputs import OutputColumn
from app.domain.tasks import TaskType
from app.engines.base import (
    EngineError,
    EngineHealth,
    EngineKind,
    EngineLogLine,
    Handle,
    OutputSink,
    Poll,
    TerminalEngineError,
    TransientEngineError,
    Work,
    WorkState,
)
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.failures import refuse_udfs
from app.engines.embedded.pyspark_process import RunnerProcess
from app.engines.embedded.results import CsvResult, with_delimiter
from app.engines.embedded.scratch import JobFolder

log = logging.getLogger(__name__)

_REMEMBERED = 1_000  # ended jobs that may still be polled
_MOST_LINES = 10_000  # that wait to be polled; a script that prints more loses some
_SPARE_LIVES = timedelta(minutes=10)
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
        self._catalogue = catalogue
        self._scratch = scratch.resolve() / f"pyspark-{uuid4().hex}"
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._runners = _Runners(home=self._scratch / "home", spare=spare, remote=remote)

    async def submit(self, work: Work) -> Handle:
        refuse_udfs(work)
        _check_installed()
        job = _Job(work=work, folder=self._scratch / uuid4().hex, catalogue=self._catalogue, runners=self._runners)
        handle = Handle(text=uuid4().hex, durable=False)
        self._jobs[handle.text] = job
        self._forget_old()
        return handle

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        return await self._job(handle).poll(wait)

    async def cancel(self, handle: Handle) -> None:
        job = self._jobs.get(handle.text)
        if job is not None:
            job.stop(None)

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
            job.stop(None)
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)
        await self._runners.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _job(self, handle: Handle) -> "_Job":
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


class _Job:
    """One script, from its folder to its outcome."""

    def __init__(self, *, work: Work, folder: Path, catalogue: Catalogue, runners: "_Runners") -> None:
        self.state = WorkState.RUNNING
        self._work = work
        self._folder = folder
        self._catalogue = catalogue
        self._runners = runners
        self._runner: RunnerProcess | None = None
        self._stopped = False
        self._error: EngineError | None = None
        self._log: list[EngineLogLine] = []
        self._news = asyncio.Event()
        self._columns: tuple[OutputColumn, ...] = ()
        self._row_count = 0
        self._timer: asyncio.TimerHandle | None = None
        if work.timeout is not None:
            limit = work.timeout.total_seconds()
            error = TerminalEngineError(f"The script was stopped after its time limit of {limit:g} s.", code="TIMEOUT")
            self._timer = asyncio.get_running_loop().call_later(limit, self.stop, error)
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(self._settle)

    async def poll(self, wait: timedelta) -> Poll:
        if self.state is WorkState.RUNNING and not self._log:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self._news.wait()
        self._news.clear()
        log, self._log = self._log, []
        return Poll(state=self.state, error=self._error, log=log)

    def stop(self, error: EngineError | None) -> None:
        """Kill the script; without an error it counts as cancelled."""
        if self.state is not WorkState.RUNNING or self._stopped:
            return
        self._stopped = True
        self._error = error
        if self._runner is not None:
            self._runner.kill()

    async def fetch(self, sink: OutputSink) -> None:
        if self.state is not WorkState.SUCCEEDED:
            raise self._error or TerminalEngineError("The script has not succeeded.", code="CANCELLED")
        try:
            if self._columns:
                csv = CsvResult(
                    text=self._folder / "output.csv", columns=self._columns, row_count=self._row_count, delimiter=","
                )
                csv = await asyncio.to_thread(with_delimiter, csv, sink.delimiter, JobFolder(self._folder))
                await csv.deliver(sink)
            else:
                await sink.write_rows((), _no_rows())
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _run(self) -> None:
        try:
            for line in await asyncio.to_thread(self._lay_out):
                self._say("engine", line)
            runner = await self._runners.take()
            if self._stopped:
                runner.kill()
            self._runner = runner
            code = await runner.run(self._folder, self._say)
            if not self._stopped:
                for line in await asyncio.to_thread(self._take_outcome, code):
                    self._say("engine", line)
        except EngineError as error:
            self._error = self._error or error
        except OSError as error:
            self._error = self._error or TransientEngineError(f"The script could not be run: {error}", code="CRASHED")
        self._runners.refill()
        await self._end()

    def _settle(self, task: asyncio.Task[None]) -> None:
        """End work whose task ended by a fault of this code, or with the event loop."""
        if self.state is not WorkState.RUNNING:
            return
        fault = None if task.cancelled() else task.exception()
        self.state = WorkState.CANCELLED if fault is None else WorkState.FAILED
        if fault is not None:
            log.error("Running a PySpark script failed in an unforeseen way", exc_info=fault)
            self._error = TerminalEngineError(
                "The script failed in an unforeseen way; the server's log tells more.", code="INTERNAL"
            )
        if self._runner is not None:
            self._runner.kill()
        self._news.set()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._error is not None:
            self.state = WorkState.FAILED
        else:
            self.state = WorkState.CANCELLED if self._stopped else WorkState.SUCCEEDED
        self._news.set()
        if self.state is not WorkState.SUCCEEDED:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _lay_out(self) -> list[str]:
        """Put the script and what it needs to know into its folder, as files; gives lines for the log."""
        self._folder.mkdir(parents=True)
        try:
            (self._folder / "script.py").write_bytes(self._work.query.encode())
        except UnicodeEncodeError as error:
            message = f"The script has a broken character at position {error.start + 1}; write it anew."
            raise TerminalEngineError(message, code="SYNTAX") from error
        tables = self._catalogue.tables(self._work.playground_id)
        paths, lines = {}, []
        for name in tables:
            try:
                paths[name] = str(tables[name])
            except EngineError as error:  # of no concern to a script that does not use the table
                lines.append(f"The table {name} is not available: {error.message}")
        (self._folder / "job.json").write_text(json.dumps({"tables": paths}), encoding="utf-8")
        return lines

    def _take_outcome(self, code: int) -> list[str]:
        """Read what the runner left, and make the script's tables the playground's; gives lines for the log."""
        try:
            outcome: dict[str, Any] = json.loads((self._folder / "outcome.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            how = f"by signal {-code}, for lack of memory perhaps" if code < 0 else f"with code {code}"
            raise TransientEngineError(f"The script's process ended {how}.", code="CRASHED") from None
        if "error" in outcome:
            error = outcome["error"]
            raise TerminalEngineError(
                _MISSING if error["code"] == "NOT_INSTALLED" else error["message"], code=error["code"]
            )
        for table in outcome["tables"]:
            self._catalogue.publish(self._work.playground_id, table["name"], Path(table["file"]))
        self._columns = tuple(OutputColumn(name=column["name"], type=column["type"]) for column in outcome["columns"])
        self._row_count = outcome["row_count"]
        return [f"Saved the table {table['name']}" for table in outcome["tables"]]

    def _say(self, stream: str, text: str) -> None:
        if len(self._log) < _MOST_LINES:
            self._log.append(EngineLogLine(at=datetime.now(UTC), stream=stream, text=text))
        elif len(self._log) == _MOST_LINES:
            self._log.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text="… lines are left out here"))
        self._news.set()


class _Runners:
    """Starts runners, and keeps one warm where that is wanted."""

    def __init__(self, *, home: Path, spare: bool, remote: str | None) -> None:
        self._remote = remote
        self._home = home
        self._wants_spare = spare
        self._spare: RunnerProcess | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def take(self) -> RunnerProcess:
        if self._refilling is not None:
            await self._refilling  # a runner that warms up already is warm sooner than another
        spare, self._spare = self._spare, None
        if spare is not None and spare.alive:
            return spare
        return await self._start()

    def refill(self) -> None:
        """Start a spare in the background; not while a script is running, which it would slow down."""
        if self._wants_spare and self._spare is None and self._refilling is None:
            self._refilling = asyncio.create_task(self._refill())

    async def close(self) -> None:
        self._wants_spare = False
        if self._expiry is not None:
            self._expiry.cancel()
        if self._refilling is not None:
            await self._refilling
        if self._spare is not None:
            await self._spare.discard()

    async def _refill(self) -> None:
        try:
            self._spare = await self._start()
        except OSError:
            self._spare = None  # the next script starts its own, and says what is wrong
        finally:
            self._refilling = None
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(_SPARE_LIVES.total_seconds(), self._expire)

    def _expire(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            self._refilling = asyncio.create_task(self._discard(spare))

    async def _discard(self, spare: RunnerProcess) -> None:
        await spare.discard()
        self._refilling = None

    async def _start(self) -> RunnerProcess:
        await asyncio.to_thread(self._home.mkdir, parents=True, exist_ok=True)
        return await RunnerProcess.start(self._home, remote=self._remote)


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("pysail", "pyspark")):
        raise TerminalEngineError(_MISSING, code="NOT_INSTALLED")


async def _no_rows() -> AsyncIterator[Sequence[Sequence[Any]]]:
    return
    yield  # makes it a generator
