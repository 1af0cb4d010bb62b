"""One PySpark script: from its folder through its process to its output."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from app.domain.outputs import OutputColumn
from app.engines.base import OutputSink, TerminalEngineError, TransientEngineError, Work
from app.engines.pyspark.delimiters import records_with
from app.engines.pyspark.process import Remote, RunnerProcess
from app.engines.pyspark.runner import JOB
from app.engines.running import RunningWork

_WRITTEN = ","


class Surroundings(Protocol):
    """What an engine has around its scripts. The first two block, and run in a thread."""

    not_installed: str

    def prepare(self, work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
        """What the runner has to know (see app.engines.pyspark.runner), and lines for the log."""

    def conclude(self, work: Work, outcome: Mapping[str, Any]) -> Sequence[str]:
        """Take over what the script left besides its result; lines for the log."""

    async def leave(self, remote: Remote) -> None:
        """End what the script's process still has running elsewhere; called when it has ended or was killed."""


class RunnerSource(Protocol):
    """Where a script gets its process from."""

    async def take(self, folder: Path) -> RunnerProcess:
        """A process that runs the script in the folder once it is told to. Raises: EngineError, OSError."""

    def refill(self) -> None:
        """A script has ended: there is room for a spare."""


class ScriptJob(RunningWork):
    """Begins at once. `folder` is the script's own, and is removed in the end."""

    def __init__(self, *, work: Work, folder: Path, surroundings: Surroundings, runners: RunnerSource) -> None:
        self._attempt = work
        self._folder = folder
        self._surroundings = surroundings
        self._runners = runners
        self._runner: RunnerProcess | None = None
        self._columns: tuple[OutputColumn, ...] = ()
        self._row_count = 0
        super().__init__(noun="script", limit=work.timeout)

    async def fetch(self, sink: OutputSink) -> None:
        self.check_succeeded()
        path = self._folder / "output.csv"
        try:
            if not self._columns:
                await sink.write_rows((), _no_rows())
            elif sink.delimiter == _WRITTEN:
                await sink.adopt_csv(path, self._columns, row_count=self._row_count)
            else:
                await sink.write_records(self._columns, in_thread(records_with(sink.delimiter, path)))
        finally:
            await self.discard()

    async def discard(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _work(self) -> None:
        try:
            for line in await asyncio.to_thread(self._lay_out):
                self.say(line)
            runner = await self._runners.take(self._folder)
            self._runner = runner
            if self._stopped:
                runner.kill()
            try:
                code = await runner.run(self._folder, lambda stream, text: self.say(text, stream))
            finally:
                runner.kill()  # where this code is at fault
                if runner.remote is not None:
                    await self._surroundings.leave(runner.remote)
            if not self._stopped:
                for line in await asyncio.to_thread(self._take_outcome, code):
                    self.say(line)
        finally:
            self._runners.refill()

    async def _halt(self) -> None:
        if self._runner is not None:
            self._runner.kill()
            if self._runner.remote is not None:
                await self._surroundings.leave(self._runner.remote)

    def _lay_out(self) -> Sequence[str]:
        """Put the script and what it needs to know into its folder, as files; gives lines for the log."""
        self._folder.mkdir(parents=True)
        try:
            (self._folder / "script.py").write_bytes(self._attempt.query.encode())
        except UnicodeEncodeError as error:
            message = f"The script has a broken character at position {error.start + 1}; write it anew."
            raise TerminalEngineError(message, code="SYNTAX") from error
        facts, lines = self._surroundings.prepare(self._attempt)
        (self._folder / JOB).write_text(json.dumps(facts), encoding="utf-8")
        return lines

    def _take_outcome(self, code: int) -> Sequence[str]:
        """Read what the runner left; gives lines for the log."""
        try:
            outcome: dict[str, Any] = json.loads((self._folder / "outcome.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            how = f"by signal {-code}, for lack of memory perhaps" if code < 0 else f"with code {code}"
            raise TransientEngineError(f"The script's process ended {how}.", code="CRASHED") from None
        if "error" in outcome:
            error = outcome["error"]
            if error["code"] == "CONNECTION":
                raise TransientEngineError(error["message"], code="CONNECTION")
            missing = error["code"] == "NOT_INSTALLED"
            message = self._surroundings.not_installed if missing else error["message"]
            raise TerminalEngineError(message, code=error["code"])
        self._columns = tuple(OutputColumn(name=column["name"], type=column["type"]) for column in outcome["columns"])
        self._row_count = outcome["row_count"]
        return self._surroundings.conclude(self._attempt, outcome)


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """An iterator that blocks, worked by threads."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


async def _no_rows() -> AsyncIterator[Sequence[Sequence[Any]]]:
    return
    yield  # makes it a generator
