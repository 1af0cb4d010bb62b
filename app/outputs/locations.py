"""Where things lie in an output store, and which words are a place, a range or a count of rows in it at all."""

import re
from datetime import UTC, datetime
from uuid import UUID

from app.domain.errors import InvalidError

_LONGEST = 1_024
# Names begin with a letter or digit: so no "..", no hidden file and none of the store's own work folders.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,199}")


def run_location(*, started_at: datetime, playground_id: UUID, run_id: UUID) -> str:
    """The folder of a run's attempts that were started on this day: `<date>/<playground>/<run>`, in UTC."""
    return f"{started_at.astimezone(UTC):%Y-%m-%d}/{playground_id}/{run_id}"


def attempt_location(
    *, started_at: datetime, playground_id: UUID, run_id: UUID, task_run_id: UUID, attempt: int
) -> str:
    """The folder of one attempt: `<date>/<playground>/<run>/<task>/<attempt>`, by the attempt's start in UTC."""
    run = run_location(started_at=started_at, playground_id=playground_id, run_id=run_id)
    return f"{run}/{task_run_id}/{attempt}"


def differences_location(reconciliation_run_id: UUID) -> str:
    """The folder of what a comparison has written."""
    return f"reconciliations/{reconciliation_run_id.hex}"


def jar_location(id_: UUID, sha256: str) -> str:
    """The JAR of user-defined functions, in a folder of its own; its name tells it apart from all others."""
    return f"udfs/{id_.hex}/{sha256}.jar"


def run_of(location: str) -> str:
    """The folder of the run whose attempt wrote to this location."""
    return "/".join(location.split("/")[:3])


def writer_of(location: str) -> UUID:
    """The task run that wrote to this location; others may have carried it over."""
    return UUID(location.split("/")[3])


def check_location(location: str) -> str:
    """The location itself, when it is a relative path of plain names.

    Raises: InvalidError.
    """
    names = location.split("/")
    if len(location) > _LONGEST or not all(_NAME.fullmatch(name) for name in names):
        shown = location if len(location) <= 80 else location[:80] + "…"  # noqa: PLR2004 - as much as fits a line
        raise InvalidError(
            f"{shown!r} is no location of the output store: give the location of an output as the platform named it,"
            " such as 2026-01-05/<playground>/<run>/<task>/1/output.csv",
            path=("location",),
        )
    return location


def check_range(offset: int, length: int | None) -> None:
    """Raises: InvalidError."""
    if offset < 0 or (length is not None and length < 0):
        raise InvalidError("A range of an output starts at 0 or later and is not shorter than 0 bytes.")


def check_limit(limit: int) -> None:
    """Raises: InvalidError."""
    if limit < 1:
        raise InvalidError("A preview shows one row at least.", path=("limit",))
