"""How far a comparison is, and whether it was asked to stop."""

import threading
import time
from collections.abc import Callable

REPORT_EVERY_SECONDS = 0.1
# What the steps of a large comparison cost, as measured; reading both files once is 1.
MATCH_WEIGHT = 0.15
SIFT_WEIGHT = 1.0  # filling filters and asking them
PICK_WEIGHT, RESOLVE_WEIGHT = 0.3, 1.0  # for each byte that is read again, and of the residue
CHECK_EVERY_ROWS = 1024  # a row costs microseconds, so that a cancel is seen within milliseconds


class ComparisonCancelledError(Exception):
    """The caller asked to stop; nothing is left behind."""


class Meter:
    """Turns bytes read into a share of all bytes to read that never falls; every call may raise the cancellation.

    Several threads may tell it of what they read.

    The total is an estimate until the candidates are known: a total that grows makes the share wait, not fall.
    """

    def __init__(self, *, total_bytes: int, report: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
        self._total = float(max(total_bytes, 1))
        self._report = report
        self._cancelled = cancelled
        self._done = 0.0
        self._shown = 0.0
        self._next_report = 0.0
        self._lock = threading.Lock()
        self._aborted = False
        self.check()

    def advance(self, size_bytes: float) -> None:
        self.check()
        with self._lock:
            self._done += size_bytes
            now = time.monotonic()
            if now >= self._next_report:
                self._next_report = now + REPORT_EVERY_SECONDS
                # What is read may exceed what was announced (a growing file): 1.0 is for the end alone.
                self._show(min(self._done / self._total, 0.999))

    def expect(self, remaining_bytes: float) -> None:
        """Replaces the estimate of what is still to be read."""
        self._total = max(self._done + remaining_bytes, 1)

    def check(self) -> None:
        if self._aborted or self._cancelled():
            raise ComparisonCancelledError

    def abort(self) -> None:
        """Lets the other threads of a comparison that has failed end soon."""
        self._aborted = True

    def finish(self) -> None:
        self._show(1.0)

    def _show(self, share: float) -> None:
        if share > self._shown:
            self._shown = share
            self._report(share)
