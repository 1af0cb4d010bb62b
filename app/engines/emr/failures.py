"""What a failure on the way to a step, or of the step itself, means to a task."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.aws.cluster import StepStatus
from app.aws.errors import AwsError, TransientAwsError
from app.engines.base import EngineError, TerminalEngineError, TransientEngineError


@contextmanager
def engine_errors() -> Iterator[None]:
    """Tell AWS's failures in the engines' words. Raises: TransientEngineError, TerminalEngineError."""
    try:
        yield
    except AwsError as error:
        raise engine_error(error) from error


def engine_error(error: AwsError) -> EngineError:
    if isinstance(error, TransientAwsError):
        return TransientEngineError(error.message, code="AWS_UNAVAILABLE")
    refused = "Denied" in error.code or "Credential" in error.code or "Token" in error.code
    return TerminalEngineError(error.message, code="PERMISSION" if refused else "AWS_REFUSED")


def step_error(status: StepStatus, outcome: Mapping[str, Any] | None, *, cluster_is_up: bool) -> EngineError | None:
    """Why a step that has ended did not succeed; None where it did.

    The outcome that the script in the step has left knows best, and knows whether another try is of use. A step that
    fails without one died: by lack of memory, a lost node, a cluster that was shut down.
    """
    told = None if outcome is None else outcome.get("error")
    if told is not None:
        kind = TransientEngineError if told.get("transient") else TerminalEngineError
        return kind(str(told["message"]), code=str(told["code"]))
    if status.state == "COMPLETED":
        if outcome is not None:
            return None
        return TransientEngineError(f"The step {status.id} has left no outcome in the bucket.", code="STEP_FAILED")
    reason = f": {status.reason}" if status.reason else "."
    if status.state == "FAILED":
        return TransientEngineError(f"The step {status.id} failed{reason}", code="STEP_FAILED")
    if not cluster_is_up:
        return TransientEngineError(f"The step {status.id} ended with its cluster{reason}", code="CLUSTER_LOST")
    return TerminalEngineError(f"The step {status.id} was cancelled in EMR by another{reason}", code="CANCELLED")


def lost(text: str) -> EngineError:
    return TerminalEngineError(f"EMR knows no work of the name {text} (any more).", code="LOST")
