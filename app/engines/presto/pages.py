"""One answer of the statement protocol: how far a query is, and the rows that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """`next_uri` is None at the end; `columns` and `error` are as the server writes them.

    `update_type` is set of a statement that is no query: what it returns are no rows of an output.
    """

    query_id: str
    next_uri: str | None = None
    info_uri: str | None = None
    columns: Sequence[Mapping[str, Any]] | None = None
    rows: Sequence[Sequence[Any]] = ()
    error: Mapping[str, Any] | None = None
    state: str = "QUEUED"
    stats: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    update_type: str | None = None
    update_count: int | None = None

    @property
    def progress(self) -> float | None:
        """Between 0 and 1, once the server has planned how much there is to do."""
        percentage, total = self.stats.get("progressPercentage"), self.stats.get("totalSplits")
        if percentage is None and total:
            percentage = 100 * self.stats.get("completedSplits", 0) / total
        return None if percentage is None else min(max(percentage / 100, 0.0), 1.0)


def read_page(answer: Mapping[str, Any]) -> Page:
    """Raises: KeyError, TypeError, AttributeError where this is no answer of the protocol."""
    stats = answer.get("stats") or {}
    return Page(
        query_id=answer["id"],
        next_uri=answer.get("nextUri"),
        info_uri=answer.get("infoUri"),
        columns=answer.get("columns"),
        rows=answer.get("data") or (),
        error=answer.get("error"),
        state=stats.get("state", "QUEUED"),
        stats=stats,
        warnings=[
            f"{warning['warningCode']['name']}: {warning['message']}" for warning in answer.get("warnings") or ()
        ],
        update_type=answer.get("updateType"),
        update_count=answer.get("updateCount"),
    )
