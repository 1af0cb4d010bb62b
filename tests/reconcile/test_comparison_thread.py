"""A comparison that is interrupted is told to stop, and what it raises arrives where it is waited for."""

import threading
from collections.abc import Callable

import pytest

from app.domain.errors import InvalidError
from app.domain.reconciliation.result import ReconciliationResult
from app.reconcile.comparison import ComparisonThread, comparison_is_running


def test_an_interruption_stops_the_comparison() -> None:
    stopped = threading.Event()

    def work(progress: Callable[[float], None], cancelled: Callable[[], bool]) -> ReconciliationResult:
        progress(0.5)
        while not cancelled():
            stopped.wait(0.001)
        stopped.set()
        raise InvalidError("stopped")

    def show(share: float) -> None:
        if share == 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ComparisonThread(work).result(show)
    assert stopped.is_set()
    assert not comparison_is_running()


def test_what_the_comparison_raises_arrives() -> None:
    def work(_progress: Callable[[float], None], _cancelled: Callable[[], bool]) -> ReconciliationResult:
        raise InvalidError("no table")

    with pytest.raises(InvalidError, match="no table"):
        ComparisonThread(work).result(lambda _: None)
