"""An embedded engine over temporary folders, and one call that takes a text from submit to its rows."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from app.domain.outputs import OutputColumn
from app.domain.tasks import TaskType
from app.engines.base import Handle, Poll, Work, WorkState
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.engine import EmbeddedSqlEngine


@dataclass
class Sink:
    """Takes the file that the engine hands over."""

    path: Path
    delimiter: str = ","
    columns: tuple[OutputColumn, ...] = ()
    row_count: int = -1

    async def write_rows(self, _columns, _batches):
        raise AssertionError("the embedded engine hands over finished CSV")

    async def write_csv(self, text: bytes, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        self.path.write_bytes(text)
        self.columns = tuple(columns)
        self.row_count = row_count

    async def write_records(self, _columns, _pieces):
        raise AssertionError("the embedded engine hands over finished CSV")

    async def adopt_csv(self, path: Path, columns: Sequence[OutputColumn], *, row_count: int) -> None:
        shutil.move(path, self.path)
        self.columns = tuple(columns)
        self.row_count = row_count

    @property
    def text(self) -> str:
        return self.path.read_bytes().decode()


@dataclass
class Result:
    state: WorkState
    code: str | None = None
    message: str = ""
    labels: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)
    text: str = ""
    row_count: int = -1
    log: list[str] = field(default_factory=list)


def work(task_type: TaskType, query: str, playground_id: UUID) -> Work:
    return Work(task_run_id=uuid4(), attempt=1, playground_id=playground_id, type=task_type, query=query)


async def wait_for_end(engine: EmbeddedSqlEngine, handle: Handle) -> Poll:
    log = []
    while True:
        poll = await engine.poll(handle, wait=timedelta(seconds=30))
        log += poll.log
        if poll.state is not WorkState.RUNNING:
            return Poll(state=poll.state, error=poll.error, log=log)


class Runner:
    """One engine and one playground."""

    def __init__(self, engine: EmbeddedSqlEngine, folder: Path, playground_id: UUID | None = None) -> None:
        self.engine = engine
        self.folder = folder
        self.playground_id = playground_id or uuid4()

    async def __call__(self, task_type: TaskType, query: str, *, delimiter: str = ",") -> Result:
        handle = await self.engine.submit(work(task_type, query, self.playground_id))
        poll = await wait_for_end(self.engine, handle)
        log = [line.text for line in poll.log]
        if poll.state is not WorkState.SUCCEEDED:
            assert poll.error is not None or poll.state is WorkState.CANCELLED
            code, message = (poll.error.code, poll.error.message) if poll.error else (None, "")
            return Result(state=poll.state, code=code, message=message, log=log)
        sink = Sink(path=self.folder / f"{uuid4()}.csv", delimiter=delimiter)
        await self.engine.fetch(handle, sink)
        text = sink.text
        parsed = [tuple(row) for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter)]
        return Result(
            state=poll.state,
            labels=[column.name for column in sink.columns],
            types=[column.type for column in sink.columns],
            rows=parsed[1:],
            text=text,
            row_count=sink.row_count,
            log=log,
        )


def make_engine(catalogue: Catalogue, scratch: Path, **changes) -> EmbeddedSqlEngine:
    settings = {
        "types": frozenset(TaskType),
        "memory_limit_bytes": 512 * 1024 * 1024,
        "threads": 2,
        "max_parallel": 4,
    }
    return EmbeddedSqlEngine(catalogue=catalogue, scratch=scratch, **(settings | changes))
