"""Redis's own clock: when a job is due is told by one clock, for those of hosts may differ by hours, or jump."""

from time import monotonic


class RedisClock:
    """Guesses Redis's time between two answers to its command TIME, whatever this host's own clock says."""

    def __init__(self) -> None:
        self._ahead_ms: float | None = None  # of this process's monotonic clock

    @property
    def is_set(self) -> bool:
        return self._ahead_ms is not None

    def set(self, answer: tuple[int, int]) -> None:
        """`answer` is that of TIME: seconds and microseconds."""
        seconds, microseconds = answer
        self._ahead_ms = seconds * 1000 + microseconds / 1000 - monotonic() * 1000

    def now_ms(self) -> int:
        """Milliseconds since 1970; the answer must have been set."""
        assert self._ahead_ms is not None  # noqa: S101 - a fault of the caller
        return int(monotonic() * 1000 + self._ahead_ms)
