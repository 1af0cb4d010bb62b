"""What is worth remembering between two works, up to a limit: the least recently used is forgotten first."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Entries whose weights sum up to `limit` at most; one that weighs a quarter of that is not taken in."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, *, weight: int = 1) -> None:
        if weight * 4 >= self._limit:
            return
        with self._lock:
            _, former = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, weight)
            self._total += weight - former
            while self._total > self._limit:
                _, (_, forgotten) = self._entries.popitem(last=False)
                self._total -= forgotten
