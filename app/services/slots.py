"""The slots of a worker: how many tasks of each pool and lane it holds, and how many more it may."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

from app.domain.dispatch import Limits, Pool
from app.models import TaskRun

Place = tuple[Pool, str]


@dataclass(kw_only=True, slots=True, eq=False)
class Slot:
    """Held by one task run at a time; given back once."""

    place: Place
    held: bool = True


class Slots:
    """`pools` and `lanes` say how many this worker has; a lane that is not named bears as many as its pool.

    `most` bounds all of them together; `limits` are the platform's, which are kept where tasks are claimed.
    """

    def __init__(
        self, *, pools: Mapping[Pool, int], lanes: Mapping[str, int], most: int | None = None, limits: Limits
    ) -> None:
        self._pools = pools
        self._lanes = lanes
        self._most = most
        self._limits = limits
        self._held: Counter[Place] = Counter()
        self._listeners: list[Callable[[], None]] = []

    def room(self, pool: Pool, lane: str, *, ending: Sequence[Slot] = ()) -> int:
        """How many more tasks of this pool and lane may be taken, once the `ending` slots are given back."""
        held = self._held - Counter(slot.place for slot in ending)
        rooms = [self._pools[pool] - sum(count for place, count in held.items() if place[0] is pool)]
        if lane in self._lanes:
            rooms.append(self._lanes[lane] - sum(count for place, count in held.items() if place[1] == lane))
        if self._most is not None:
            rooms.append(self._most - held.total())
        return max(min(rooms), 0)

    def some_room(self) -> int:
        """Room for tasks whose lane is not known yet."""
        return max(self.room(pool, "") for pool in Pool)

    def take(self, place: Place) -> Slot | None:
        if self.room(*place) <= 0:
            return None
        self._held[place] += 1
        return Slot(place=place)

    def give_back(self, slot: Slot) -> None:
        if slot.held:
            slot.held = False
            self._held[slot.place] -= 1
            for listener in self._listeners:
                listener()

    def may_move(self, slot: Slot, place: Place) -> bool:
        """Whether the slot can serve another task after its holder: of the same place, or of a lane without bounds."""
        unbounded = place[1] not in self._lanes and self._limits.of_lane(place[1]) is None
        return slot.place == place or (slot.place[0] is place[0] and unbounded)

    def move(self, slot: Slot, place: Place) -> None:
        self._held[slot.place] -= 1
        self._held[place] += 1
        slot.place = place

    def on_room(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a slot was given back."""
        self._listeners.append(listener)

    def reserving(self, *, ended: Sequence[Slot] = ()) -> "Reservation":
        """`ended` are the slots of tasks that are over, for those that are claimed in their stead."""
        return Reservation(slots=self, ended=ended)


class Reservation:
    """Slots for tasks that are being claimed; those that were not kept are given back at the block's end.

    Slots of ended tasks are passed on without ever being free, so that nobody who came later gets in between.
    """

    def __init__(self, *, slots: Slots, ended: Sequence[Slot]) -> None:
        self._slots = slots
        self._ended = list(ended)
        self._taken: dict[UUID, Slot] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in (*self._taken.values(), *self._ended):
            self._slots.give_back(slot)

    def begin_again(self) -> None:
        """Hold what was taken for others: the transaction that claims begins anew."""
        self._ended += self._taken.values()
        self._taken.clear()

    def room(self, pool: Pool, lane: str) -> int:
        return self._slots.room(pool, lane, ending=self._ended)

    def take(self, task_run: TaskRun) -> bool:
        place = place_of(task_run)
        slot = self._passed_on(place) or self._slots.take(place)
        if slot is not None:
            self._taken[task_run.id] = slot
        return slot is not None

    def _passed_on(self, place: Place) -> Slot | None:
        for slot in self._ended:
            if self._slots.may_move(slot, place):
                self._ended.remove(slot)
                self._slots.move(slot, place)
                return slot
        if self.room(*place) and not self._slots.room(*place):  # only in the place of one that cannot be moved there
            self._slots.give_back(self._ended.pop())
        return None

    def keep(self, task_run: TaskRun) -> Slot:
        """The claim is committed: the slot is the task run's."""
        return self._taken.pop(task_run.id)


def place_of(task_run: TaskRun) -> Place:
    return (task_run.pool, task_run.lane)
