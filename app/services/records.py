"""What is written down of an attempt that has ended: its one row in the history, its log, its columns."""

from collections.abc import Sequence
from typing import Any

from app.services.attempt import Outcome
from app.services.held_work import HeldTask
from app.store.unit_of_work import UnitOfWork


async def record_attempts(unit: UnitOfWork, ends: Sequence[tuple[HeldTask, Outcome]]) -> None:
    """One row for each ended attempt, and the log lines that still wait."""
    if not ends:
        return
    await unit.runs.record_attempts([_attempt_row(held, outcome) for held, outcome in ends])
    await unit.logs.append([{"task_run_id": held.task_run.id, **line} for held, _ in ends for line in held.lines])


def error_columns(outcome: Outcome) -> dict[str, Any]:
    return {
        "error_code": outcome.error_code,
        "error_message": outcome.error_message,
        "error_retriable": None if outcome.error_code is None else outcome.retriable,
    }


def output_columns(outcome: Outcome) -> dict[str, Any]:
    output = outcome.output
    return {
        "output_location": output.location if output else None,
        "output_format": output.format if output else None,
        "output_delimiter": output.delimiter if output else None,
        "output_size_bytes": output.size_bytes if output else None,
        "output_row_count": output.row_count if output else None,
        "output_columns": [{"name": c.name, "type": c.type} for c in output.columns] if output else None,
        "check_results": [each.to_document() for each in outcome.check_results] or None,
    }


def _attempt_row(held: HeldTask, outcome: Outcome) -> dict[str, Any]:
    task_run = held.task_run
    return {
        "task_run_id": task_run.id,
        "attempt": task_run.attempt,
        "status": outcome.status,
        "worker_id": task_run.worker_id,
        "handle": task_run.handle or (held.handle.text if held.handle else None),
        "started_at": task_run.started_at or outcome.ended_at,
        "ended_at": outcome.ended_at,
        "output_location": outcome.output.location if outcome.output else None,
        **error_columns(outcome),
    }
