"""The log of a piece of work: each query with its page in the server's own web interface, its states and warnings."""

from collections.abc import Sequence
from datetime import UTC, datetime

from app.engines.base import EngineLogLine
from app.engines.presto.pages import Page


class QueryLog:
    """Tells what is new in each page."""

    def __init__(self) -> None:
        self._lines: list[EngineLogLine] = []
        self._prefix = ""
        self._state = ""
        self._warnings: set[str] = set()

    def take(self) -> Sequence[EngineLogLine]:
        """The lines since the last time."""
        lines, self._lines = self._lines, []
        return lines

    def begin(self, page: Page, *, number: int, count: int) -> None:
        self._prefix = f"Statement {number} of {count}: " if count > 1 else ""
        self._state = ""
        self._warnings = set()
        self.say(f"query {page.query_id}" + (f", {page.info_uri}" if page.info_uri else ""))

    def tell(self, page: Page) -> None:
        for warning in page.warnings:
            if warning not in self._warnings:
                self._warnings.add(warning)
                self.say(warning)
        if page.state != self._state:
            self._state = page.state
            self.say(page.state + _splits(page))
        if page.next_uri is None and page.update_type is not None:
            self.say(page.update_type + ("" if page.update_count is None else f": {page.update_count} rows"))

    def say(self, text: str) -> None:
        self._lines.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text=self._prefix + text))


def _splits(page: Page) -> str:
    total = page.stats.get("totalSplits")
    if not total:
        return ""
    seconds = page.stats.get("elapsedTimeMillis", 0) / 1000
    return f", {page.stats.get('completedSplits', 0)} of {total} splits after {seconds:.1f} s"
