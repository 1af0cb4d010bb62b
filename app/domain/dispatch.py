"""Which of the waiting tasks run next: limits, and fairness between users.

A *lane* is one engine; a *pool* parts ad hoc from scheduled work. What waits is told by group (playground, pool, lane),
so that a look costs what is different, not what is queued.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Pool(StrEnum):
    """What a thread pool of the settings is for."""

    ADHOC = "ADHOC"
    SCHEDULED = "SCHEDULED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Tasks that differ in nothing that a limit or fairness looks at."""

    playground_id: UUID
    owner_id: UUID
    pool: Pool
    lane: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Tasks at once in the whole platform; None: as many as the workers bear."""

    per_user: int | None = None
    per_playground: int | None = None
    per_lane: int | None = None
    lanes: Mapping[str, int] = field(default_factory=dict)  # by name, in place of `per_lane`

    def __bool__(self) -> bool:
        return bool(self.lanes) or any((self.per_user, self.per_playground, self.per_lane))

    def of_lane(self, lane: str) -> int | None:
        return self.lanes.get(lane, self.per_lane)


Room = Callable[[Pool, str], int]  # how many more tasks of this pool and lane the worker can hold


class Choice:
    """Hands out slots one by one: to the user with the least at work, of them to the playground with the least.

    `running` counts what is at work in the whole platform. Equal users take turns by who has waited longest.
    """

    def __init__(self, *, running: Mapping[Group, int], limits: Limits) -> None:
        self._limits = limits
        self._users: Counter[UUID] = Counter()
        self._playgrounds: Counter[UUID] = Counter()
        self._lanes: Counter[str] = Counter()
        for group, count in running.items():
            self._add(group, count)

    def choose(self, waiting: Mapping[Group, datetime], *, most: int, room: Room) -> dict[Group, int]:
        """How many tasks of each waiting group to take, at most; `waiting` has the time that the oldest waits since."""
        chosen: Counter[Group] = Counter()
        held: Counter[tuple[Pool, str]] = Counter()
        candidates = dict(waiting)
        while candidates and chosen.total() < most:
            group = min(candidates, key=lambda one: self._rank(one, candidates[one]))
            place = (group.pool, group.lane)
            if self._is_full(group) or held[place] >= room(*place):
                del candidates[group]
                continue
            chosen[group] += 1
            held[place] += 1
            self._add(group, 1)
        return dict(chosen)

    def _rank(self, group: Group, since: datetime) -> tuple[int, int, datetime]:
        return (self._users[group.owner_id], self._playgrounds[group.playground_id], since)

    def _is_full(self, group: Group) -> bool:
        counts: Sequence[tuple[int, int | None]] = (
            (self._users[group.owner_id], self._limits.per_user),
            (self._playgrounds[group.playground_id], self._limits.per_playground),
            (self._lanes[group.lane], self._limits.of_lane(group.lane)),
        )
        return any(limit is not None and count >= limit for count, limit in counts)

    def _add(self, group: Group, count: int) -> None:
        self._users[group.owner_id] += count
        self._playgrounds[group.playground_id] += count
        self._lanes[group.lane] += count
