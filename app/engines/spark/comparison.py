"""A comparison of two outputs on a Spark Connect server, by a script that the product brings."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError, Work
from app.engines.comparing.connected import DIFFERENCES, PROGRESS, QUESTION, RESULT, SCRIPT
from app.engines.comparing.question import ComparedOutput, Question
from app.engines.comparing.work import Document, Write
from app.engines.pyspark.process import Remote
from app.engines.pyspark.script import RunnerSource, ScriptJob, Surroundings

_READ_BYTES = 1 << 20


class ComparisonJob(ScriptJob):
    """Runs as any script does, in a process and a session of its own."""

    def __init__(
        self,
        question: Question,
        *,
        run_id: UUID,
        playground_id: UUID,
        folder: Path,
        surroundings: Surroundings,
        runners: RunnerSource,
    ) -> None:
        work = Work(task_run_id=run_id, attempt=1, playground_id=playground_id, type=TaskType.PYSPARK, query=SCRIPT)
        asking = _Asking(surroundings, question)
        super().__init__(work=work, folder=folder, surroundings=asking, runners=runners)

    def say(self, text: str, stream: str = "engine") -> None:
        if not text.startswith(PROGRESS):
            super().say(text, stream)
            return
        self._progress = float(text.removeprefix(PROGRESS))
        self._news.set()

    async def take(self, write: Write) -> Document:
        """The result; `write` gets the table of all differences."""
        self.check_succeeded()
        document: Document = json.loads(await asyncio.to_thread((self._folder / RESULT).read_bytes))["result"]
        with await asyncio.to_thread((self._folder / DIFFERENCES).open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _READ_BYTES):
                await write(piece)
        await self.discard()
        return document

    def _take_outcome(self, code: int) -> Sequence[str]:
        lines = super()._take_outcome(code)
        error = json.loads((self._folder / RESULT).read_bytes()).get("error")
        if error is not None:
            raise TerminalEngineError(error["message"], code=error["code"])
        return lines


class _Asking:
    """The surroundings of any script, with the question."""

    def __init__(self, surroundings: Surroundings, question: Question) -> None:
        self.not_installed = surroundings.not_installed
        self._surroundings = surroundings
        self._question = replace(question, left=seen_by_spark(question.left), right=seen_by_spark(question.right))

    def prepare(self, work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
        facts, lines = self._surroundings.prepare(work)
        return {**facts, QUESTION: self._question.to_document()}, lines

    def conclude(self, work: Work, outcome: Mapping[str, Any]) -> Sequence[str]:
        return self._surroundings.conclude(work, outcome)

    async def leave(self, remote: Remote) -> None:
        await self._surroundings.leave(remote)


def seen_by_spark(output: ComparedOutput) -> ComparedOutput:
    """By the scheme that Hadoop has for S3; `s3` is EMR's own."""
    return replace(output, uri=f"s3a{output.uri[2:]}") if output.uri.startswith("s3:") else output
