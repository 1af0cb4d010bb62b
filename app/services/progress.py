"""Whether the loops of a process go round: a heartbeat that is sent beside a loop that hangs would tell a lie."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic


class Progress:
    """Each loop says at every turn when its next one is due; it may be late by `patience`."""

    def __init__(self, *, patience: timedelta, clock: Callable[[], float] = monotonic) -> None:
        self._patience = patience.total_seconds()
        self._clock = clock
        self._expected: dict[str, float] = {}

    def turn(self, loop: str, *, next_within: timedelta = timedelta()) -> None:
        """The loop goes on, and comes back within that time."""
        self._expected[loop] = self._clock() + next_within.total_seconds() + self._patience

    def stalled(self) -> list[str]:
        """The loops that were expected and have not come round."""
        now = self._clock()
        return [loop for loop, expected in self._expected.items() if expected < now]
