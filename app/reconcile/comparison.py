"""The comparison beside the terminal: in a thread, so that the bar moves and Ctrl-C is heard at once."""

import threading
from collections.abc import Callable

from app.domain.reconciliation.result import ReconciliationResult

LOOK_INTERVAL = 0.05  # seconds between two looks at how far it is
STOP_GRACE = 0.7  # seconds for a comparison that is to stop; one that is deep in a kernel is left to the process's end

_NAME = "comparison"

Work = Callable[[Callable[[float], None], Callable[[], bool]], ReconciliationResult]


class ComparisonThread:
    """Runs `work`, which is given a listener for progress and a question whether to stop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._share = 0.0
        self._stop = threading.Event()
        self._result: ReconciliationResult | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)

    def result(self, show: Callable[[float], None]) -> ReconciliationResult:
        """Waits for the end; what interrupts the waiting stops the comparison first. Raises what `work` raises."""
        self._thread.start()
        try:
            while self._thread.is_alive():
                self._thread.join(LOOK_INTERVAL)
                show(self._share)
        except BaseException:
            self._stop.set()
            self._thread.join(STOP_GRACE)
            raise
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise AssertionError
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work(self._hear, self._stop.is_set)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is waited for
            self._error = error

    def _hear(self, share: float) -> None:
        self._share = share


def comparison_is_running() -> bool:
    return any(thread.name == _NAME for thread in threading.enumerate())
