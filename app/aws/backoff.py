"""How long to pause before asking AWS again: longer each time, and by chance, so that many do not come back at once."""

import random
from datetime import timedelta


class Backoff:
    """Pauses that double from `first` to `most`; each is drawn between half of itself and the whole."""

    def __init__(self, *, first: timedelta, most: timedelta) -> None:
        self._first = first.total_seconds()
        self._most = max(most, first).total_seconds()
        self._next = self._first

    def pause(self) -> float:
        """Seconds until the next try."""
        pause, self._next = self._next, min(self._next * 2, self._most)
        return pause * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        self._next = self._first
