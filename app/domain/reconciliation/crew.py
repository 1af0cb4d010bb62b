"""The two threads of a large comparison: both sides at once, or the partitions one after the other, as they come."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from app.domain.reconciliation.progress import Meter

_THREADS = 2


class Crew(AbstractContextManager["Crew"]):
    """Where one of its threads fails, the other is told to stop."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="compare")

    def both(self, of_left: Callable[[], None], of_right: Callable[[], None]) -> None:
        """Where both sides fail, the left one's error."""
        left, right = self._pool.submit(of_left), self._pool.submit(of_right)
        try:
            left.result()
        except BaseException:
            self._meter.abort()
            raise
        right.result()

    def each(self, work: Callable[[int], None], count: int, *, weight: float) -> None:
        """Does the work for each number below the count; all of them together weigh so much in the progress."""
        try:
            for _ in self._pool.map(work, range(count)):
                self._meter.advance(weight / count)
        except BaseException:
            self._meter.abort()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
