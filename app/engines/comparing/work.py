"""What an engine offers on whose Spark two outputs can be compared, beside what it does for tasks."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from app.engines.base import EngineKind, Handle, Poll
from app.engines.comparing.question import Question

# The outcome of the job: a result as ReconciliationResult.to_document has it.
Document = Mapping[str, Any]
Write = Callable[[bytes], Awaitable[None]]


@runtime_checkable
class Comparing(Protocol):
    """An engine with a Spark that reads the output store by its URIs.

    A comparison is named by its run, so that who begins it again, where its handle is durable, goes on with it.
    """

    name: str
    kind: EngineKind
    compares_on: str  # what messages call the place

    async def begin_comparison(self, question: Question, *, run_id: UUID, playground_id: UUID) -> Handle:
        """Start the job, or take up the one of this run. Raises: TransientEngineError, TerminalEngineError."""

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        """As for a task's work."""

    async def cancel(self, handle: Handle) -> None:
        """As for a task's work."""

    async def take_comparison(self, handle: Handle, write: Write) -> Document:
        """The result of a job that has succeeded; `write` gets the table of all differences. Raises: EngineError."""
