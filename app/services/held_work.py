"""The work that this process holds: what runs, how to stop it, and the log lines that wait to be written."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.identity import utc_now
from app.engines.base import Engine, EngineError, EngineLogLine, Handle
from app.models import TaskRun
from app.services.slots import Slot

LINES_PER_ATTEMPT = 10_000_000


@dataclass(kw_only=True, slots=True)
class HeldTask:
    """One claimed task run: `stop` is set when its run is to be cancelled, `stopping` when its engine is to stop it.

    `lost`: another worker has taken the claim, and with a durable handle the work in the engine as well.
    """

    task_run: TaskRun
    slot: Slot | None = None
    engine: Engine | None = None
    handle: Handle | None = None
    handle_to_store: Handle | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False
    checking: bool = False  # the engine has done its part; the output is being looked at
    lost: bool = False
    over: bool = False  # the attempt has come to its outcome, which may still be on its way to the database
    lines: list[dict[str, Any]] = field(default_factory=list)
    last_sequence: int = 0  # of the log; every attempt has a range of its own, so that no two writers meet
    flushed_at: float = 0.0

    def __post_init__(self) -> None:
        self.last_sequence = max(self.last_sequence, self.task_run.attempt * LINES_PER_ATTEMPT)

    def note(self, text: str, *, at: datetime, stream: str = "engine") -> None:
        self.last_sequence += 1
        self.lines.append(
            {
                "sequence": self.last_sequence,
                "attempt": self.task_run.attempt,
                "at": at,
                "stream": stream,
                "text": text,
            }
        )

    def take_over(self, lines: Sequence[EngineLogLine]) -> None:
        for line in lines:
            self.note(line.text, at=line.at, stream=line.stream)

    def drain_lines(self) -> list[dict[str, Any]]:
        """The lines that wait to be written; they are the caller's now."""
        lines, self.lines = self.lines, []
        return lines

    def lose(self) -> None:
        """Let go of it: what only this process could follow is stopped, what another follows by now goes on."""
        self.lost = True
        self.stop.set()

    async def cancel_in_engine(self) -> None:
        """Reach the engine; that it cannot be reached is written to the task's log."""
        if self.engine is None or self.handle is None or (self.lost and self.handle.durable):
            return
        try:
            await self.engine.cancel(self.handle)
        except EngineError as error:
            self.note(f"The engine could not be told to stop: {error.message}", at=utc_now())


class HeldWork:
    """All that this process holds, by the id of the task run."""

    def __init__(self) -> None:
        self._held: dict[UUID, HeldTask] = {}
        self._comparisons: dict[UUID, asyncio.Event] = {}
        self._carriers = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __contains__(self, id_: object) -> bool:
        """Task runs and reconciliation runs alike."""
        return id_ in self._held or id_ in self._comparisons

    def __len__(self) -> int:
        return len(self._held)

    @property
    def tasks(self) -> list[HeldTask]:
        return list(self._held.values())

    @property
    def comparisons(self) -> set[UUID]:
        return set(self._comparisons)

    def add(self, held: HeldTask) -> None:
        self._held[held.task_run.id] = held

    def remove(self, held: HeldTask) -> None:
        if self._held.get(held.task_run.id) is held:
            del self._held[held.task_run.id]

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """From the claim of some work to the end of the last that follows from it.

        A claim that is on its way to the database is no work that is held yet, and will be in a moment.
        """
        self._carriers += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._carriers -= 1
            if not self._carriers:
                self._empty.set()

    @contextmanager
    def watching(self, reconciliation_run_id: UUID) -> Iterator[asyncio.Event]:
        """Hold a comparison; the event is set once it is to be cancelled."""
        stop = self._comparisons[reconciliation_run_id] = asyncio.Event()
        try:
            yield stop
        finally:
            del self._comparisons[reconciliation_run_id]

    def stop(self, ids: Iterable[UUID]) -> None:
        """Task runs and reconciliation runs alike."""
        for id_ in ids:
            if held := self._held.get(id_):
                held.stop.set()
            elif stop := self._comparisons.get(id_):
                stop.set()

    async def until_empty(self) -> None:
        """Wait until nothing is held, and nothing is about to be."""
        await self._empty.wait()
