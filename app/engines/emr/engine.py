"""The engine for tasks that run as steps of the cluster that a CloudFormation stack has."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import time
from uuid import UUID

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.aws.cluster import STEPS_AT_ONCE
from app.domain.outputs import OutputColumn
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
    WorkUdf,
)
from app.engines.comparing.package import package
from app.engines.comparing.question import Question
from app.engines.comparing.work import Document, Write
from app.engines.emr import requests
from app.engines.emr.attempt import EmrAttempt
from app.engines.emr.failures import engine_errors, lost
from app.engines.emr.folder import AttemptFolder, Record
from app.engines.emr.giving import Place
from app.engines.emr.rows import csv_rows, hive_rows

_CHECK_SECONDS = 5
_RENEWED_SECONDS = 3_600
_REMEMBERED = 1_000  # ended attempts that may still be polled
_TYPES = frozenset({TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.PYSPARK})


class EmrEngine:
    """Each attempt has a folder in the bucket, and its key is the handle, with the cluster's and the step's ids behind.

    Scripts, JARs, jobs and outputs lie under `prefix`; nothing there is deleted before the playground is, so that an
    attempt can be followed by any worker up to the moment when its end is written down. A rule of the bucket may
    delete what is older than a few days.
    """

    kind = EngineKind.EMR
    compares_on = "a step of the EMR cluster"
    types = _TYPES
    capacity: int | None = STEPS_AT_ONCE

    def __init__(
        self,
        *,
        name: str,
        s3: AwsClients,
        control: AwsClients,
        bucket: Bucket,
        prefix: str,
        region: str,
        place: Place,
        presto: Mapping[str, str],
        python: str = "python3.11",
    ) -> None:
        self.name = name
        self._s3 = s3
        self._control = control
        self._bucket = bucket
        self._prefix = "/".join(part for part in (prefix, "emr") if part)
        self._region = region
        self._place = place
        self._presto = presto
        self._python = python
        self._attempts: OrderedDict[str, EmrAttempt] = OrderedDict()
        self._fetched: OrderedDict[str, None] = OrderedDict()
        self._uploaded: dict[str, float] = {}  # when, by the key

    async def submit(self, work: Work) -> Handle:
        with engine_errors():
            uris = {udf.sha256: udf.uri or await self._upload_jar(udf) for udf in work.udfs}
        with engine_errors(), self._place.steps.coming():
            job = await asyncio.to_thread(requests.job, work, uris, presto=self._presto)  # a long text takes seconds
            script_uri = await self._upload_script(work.type)
            folder = self._folder(f"{self._prefix}/{work.playground_id.hex}/{work.task_run_id.hex}/{work.attempt}")
            record = Record(deadline=None if work.timeout is None else time() + work.timeout.total_seconds())
            step = requests.step(work, uris, script_uri=script_uri, region=self._region)
            await folder.begin(job=job, step=step, record=record)
            self._remember(folder, record, cancelled=False)
        return Handle(text=folder.key, durable=True)  # the step gets its ids later, and is found by this as well

    async def begin_comparison(self, question: Question, *, run_id: UUID, playground_id: UUID) -> Handle:
        folder = self._folder(f"{self._prefix}/{playground_id.hex}/{run_id.hex}/1")
        with engine_errors(), self._place.steps.coming():
            if await folder.record() is None:
                package_name, package_bytes = await asyncio.to_thread(package)
                step = requests.comparison_step(
                    script_uri=await self._upload_script(None),
                    package_uri=await self._upload(f"{self._prefix}/scripts/{package_name}", package_bytes),
                    python=self._python,
                )
                record = Record()
                await folder.begin(job={"question": question.to_document()}, step=step, record=record)
                self._remember(folder, record, cancelled=False)
        return Handle(text=folder.key, durable=True)

    async def take_comparison(self, handle: Handle, write: Write) -> Document:
        attempt = await self._succeeded(handle)
        await write(f"{attempt.outcome['header']}\n".encode())
        with engine_errors():
            async for piece in attempt.folder.pieces(attempt.number):
                await write(piece)
        result: Document = attempt.outcome["result"]
        return result

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        poll = await (await self._attempt(handle)).poll(wait)
        return poll if poll.handle is None or poll.handle.text != handle.text else replace(poll, handle=None)

    async def cancel(self, handle: Handle) -> None:
        try:
            attempt = await self._attempt(handle)
        except TerminalEngineError:
            return
        await attempt.cancel()

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        attempt = await self._succeeded(handle)
        with engine_errors():
            await self._deliver(attempt, sink)
        self._attempts.pop(attempt.folder.key, None)
        self._fetched[attempt.folder.key] = None
        while len(self._fetched) > _REMEMBERED:
            self._fetched.popitem(last=False)

    async def check(self) -> EngineHealth:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                with engine_errors():
                    await self._place.cluster.check()
        except TimeoutError:
            return EngineHealth(healthy=False, message=f"AWS did not answer within {_CHECK_SECONDS} s.")
        except EngineError as error:
            return EngineHealth(healthy=False, message=error.message)
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        with engine_errors():
            await self._bucket.delete_all(f"{self._prefix}/{playground_id.hex}/")

    async def close(self) -> None:
        attempts = list(self._attempts.values())
        self._attempts.clear()
        await asyncio.gather(*(attempt.let_go() for attempt in attempts))
        await self._place.steps.close()
        await self._place.cluster.close()
        await self._s3.close()
        await self._control.close()

    async def _succeeded(self, handle: Handle) -> EmrAttempt:
        """The attempt at its end. Raises: TerminalEngineError where it has no output."""
        attempt = await self._attempt(handle)
        while (await attempt.poll(timedelta(seconds=1))).state is WorkState.RUNNING:
            pass
        if attempt.state is not WorkState.SUCCEEDED:
            raise TerminalEngineError("The work has not succeeded: there is nothing to fetch.", code="NO_OUTPUT")
        return attempt

    async def _attempt(self, handle: Handle) -> EmrAttempt:
        """The attempt, taken up from its folder where another process has begun it. Raises: EngineError."""
        key = handle.text.partition(" ")[0]
        known = self._attempts.get(key)
        if known is not None:
            return known
        if key in self._fetched or not key.startswith(f"{self._prefix}/"):
            raise lost(handle.text)
        folder = self._folder(key)
        with engine_errors():
            record, cancelled = await folder.record(), await folder.is_cancelled()
        if record is None:
            raise lost(handle.text)
        return self._attempts.get(key) or self._remember(folder, record, cancelled=cancelled)

    def _remember(self, folder: AttemptFolder, record: Record, *, cancelled: bool) -> EmrAttempt:
        attempt = EmrAttempt(folder=folder, place=self._place, record=record, cancelled=cancelled)
        self._attempts[folder.key] = attempt
        ended = [key for key, known in self._attempts.items() if known.state is not WorkState.RUNNING]
        for key in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._attempts[key]
        return attempt

    def _folder(self, key: str) -> AttemptFolder:
        return AttemptFolder(bucket=self._bucket, key=key)

    async def _upload_script(self, type: TaskType | None) -> str:
        name, text = requests.script(type)
        return await self._upload(f"{self._prefix}/scripts/{name}", text)

    async def _upload_jar(self, udf: WorkUdf) -> str:
        """For a JAR that lies on this machine alone."""
        key = f"{self._prefix}/jars/{udf.sha256}.jar"
        data = b"" if self._is_there(key) else await asyncio.to_thread(udf.jar.read_bytes)
        return await self._upload(key, data)

    async def _upload(self, key: str, data: bytes) -> str:
        """The key names the very bytes, so what is there is good; it is renewed, for a rule may delete what is old."""
        if not self._is_there(key):
            await self._bucket.put(key, data)
            self._uploaded[key] = time()
        return f"s3://{self._bucket.name}/{key}"

    def _is_there(self, key: str) -> bool:
        return time() - self._uploaded.get(key, 0) < _RENEWED_SECONDS

    @staticmethod
    async def _deliver(attempt: EmrAttempt, sink: OutputSink) -> None:
        columns = [
            OutputColumn(name=column["name"], type=_type_name(column["type"])) for column in attempt.outcome["columns"]
        ]
        pieces = attempt.folder.pieces(attempt.number)
        if not columns:
            await sink.write_rows((), _no_rows())
        elif attempt.outcome["format"] == "hive":
            await sink.write_rows(columns, hive_rows(pieces, columns))
        elif sink.delimiter != ",":
            await sink.write_rows(columns, csv_rows(pieces))
        else:
            await sink.write_records(columns, pieces)


def _type_name(name: str) -> str:
    return name if "<" in name or "row(" in name else name.upper()


async def _no_rows() -> AsyncIterator[Sequence[Sequence[str | None]]]:
    return
    yield  # makes it a generator
