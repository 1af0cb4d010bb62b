"""Takes work from submit to its stored output as a worker does, into a real output store."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from app.domain.outputs import StoredOutput
from app.domain.tasks import TaskType
from app.engines.base import Engine, EngineError, Handle, Poll, Work, WorkState
from app.outputs.csv_reader import read_records
from app.outputs.local import LocalOutputStore

PLAYGROUND = UUID(int=7)


@dataclass
class Ended:
    """What became of the work; `rows` are without the header, None is NULL."""

    state: WorkState
    error: EngineError | None = None
    log: list[str] = field(default_factory=list)
    stored: StoredOutput | None = None
    path: Path | None = None

    @property
    def text(self) -> str:
        assert self.path is not None, self.error
        return self.path.read_bytes().decode()

    @property
    def labels(self) -> list[str]:
        assert self.stored is not None, self.error
        return [column.name for column in self.stored.columns]

    @property
    def types(self) -> list[str]:
        assert self.stored is not None, self.error
        return [column.type for column in self.stored.columns]

    @property
    def rows(self) -> list[list[str | None]]:
        assert self.stored is not None, self.error
        return list(read_records([self.text], self.stored.delimiter))[1:]

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error.code

    @property
    def message(self) -> str:
        return "" if self.error is None else self.error.message


class Driver:
    """Drives one engine."""

    def __init__(self, engine: Engine, *, type: TaskType, folder: Path) -> None:
        self.engine = engine
        self.type = type
        self._store = LocalOutputStore(root=folder / "outputs")

    def work(self, query: str, *, limit: timedelta | None = None) -> Work:
        return Work(
            task_run_id=uuid4(), attempt=1, playground_id=PLAYGROUND, type=self.type, query=query, timeout=limit
        )

    async def submit(self, query: str) -> Handle:
        return await self.engine.submit(self.work(query))

    async def run(self, query: str, *, limit: timedelta | None = None, delimiter: str = ",") -> Ended:
        """Errors at the door and later ones are both told as FAILED."""
        try:
            handle = await self.engine.submit(self.work(query, limit=limit))
        except EngineError as error:
            return Ended(state=WorkState.FAILED, error=error)
        poll, log = await self.follow(handle)
        ended = Ended(state=poll.state, error=poll.error, log=log)
        if poll.state is WorkState.SUCCEEDED:
            ended.stored = await self.fetch(handle, delimiter=delimiter)
            ended.path = self._store.local_path(ended.stored.location)
        return ended

    async def follow(self, handle: Handle) -> tuple[Poll, list[str]]:
        """Poll to the end; the last poll and all lines of the log."""
        log: list[str] = []
        while True:
            poll = await self.engine.poll(handle, wait=timedelta(seconds=30))
            log += [line.text for line in poll.log]
            if poll.state is not WorkState.RUNNING:
                return poll, log

    async def fetch(self, handle: Handle, *, delimiter: str = ",") -> StoredOutput:
        async with self._store.sink(
            started_at=datetime.now(UTC),
            playground_id=PLAYGROUND,
            run_id=uuid4(),
            task_run_id=uuid4(),
            attempt=1,
            delimiter=delimiter,
        ) as sink:
            await self.engine.fetch(handle, sink)
        return sink.stored
