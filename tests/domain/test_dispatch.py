"""The choice of what runs next: limits are kept, users share evenly, and nothing free is left unused."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.dispatch import Choice, Group, Limits, Pool
from app.domain.identity import new_id

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
USERS, PLAYGROUNDS, LANES = ([new_id() for _ in range(3)], [new_id() for _ in range(4)], ["mysql", "hive"])


def group(user: int = 0, playground: int = 0, *, pool: Pool = Pool.ADHOC, lane: str = "mysql") -> Group:
    return Group(playground_id=PLAYGROUNDS[playground], owner_id=USERS[user], pool=pool, lane=lane)


def plenty(_pool: Pool, _lane: str) -> int:
    return 1000


def test_the_user_with_the_least_at_work_is_served_first() -> None:
    busy, idle = group(0, 0), group(1, 1)
    choice = Choice(running={busy: 5}, limits=Limits())
    assert choice.choose({busy: NOON, idle: NOON + timedelta(hours=1)}, most=1, room=plenty) == {idle: 1}


def test_users_with_the_same_at_work_share_evenly() -> None:
    waiting = {group(user, user): NOON for user in range(3)}
    chosen = Choice(running={}, limits=Limits()).choose(waiting, most=9, room=plenty)
    assert set(chosen.values()) == {3}


def test_of_one_user_the_playground_with_the_least_at_work_comes_first_then_who_waits_longest() -> None:
    first, second, third = group(0, 0), group(0, 1), group(0, 2)
    waiting = {first: NOON, second: NOON + timedelta(seconds=2), third: NOON + timedelta(seconds=1)}
    choice = Choice(running={first: 1}, limits=Limits())
    assert choice.choose(waiting, most=1, room=plenty) == {third: 1}
    assert choice.choose(waiting, most=1, room=plenty) == {second: 1}


def test_a_limit_of_one_lane_goes_before_that_of_all() -> None:
    hive, mysql = group(0, 0, lane="hive"), group(1, 1)
    choice = Choice(running={}, limits=Limits(per_lane=5, lanes={"hive": 2}))
    assert choice.choose({hive: NOON, mysql: NOON}, most=100, room=plenty) == {hive: 2, mysql: 5}


groups = st.builds(
    group, st.integers(0, 2), st.integers(0, 3), pool=st.sampled_from(list(Pool)), lane=st.sampled_from(LANES)
)
bounds = st.none() | st.integers(1, 6)


@given(
    running=st.dictionaries(groups, st.integers(1, 4), max_size=5),
    waiting=st.dictionaries(groups, st.just(NOON), max_size=8),
    limits=st.builds(Limits, per_user=bounds, per_playground=bounds, per_lane=bounds),
    most=st.integers(0, 12),
    room=st.integers(0, 5),
)
def test_no_limit_is_passed_and_nothing_that_would_fit_is_left(
    running: dict[Group, int], waiting: dict[Group, datetime], limits: Limits, most: int, room: int
) -> None:
    chosen = Choice(running=running, limits=limits).choose(waiting, most=most, room=lambda _pool, _lane: room)
    after = Counter(running) + Counter(chosen)

    def full(one: Group) -> bool:
        places = Counter[tuple[Pool, str]]()
        for other, count in chosen.items():
            places[other.pool, other.lane] += count
        counts = (
            (limits.per_user, sum(n for g, n in after.items() if g.owner_id == one.owner_id)),
            (limits.per_playground, sum(n for g, n in after.items() if g.playground_id == one.playground_id)),
            (limits.per_lane, sum(n for g, n in after.items() if g.lane == one.lane)),
            (room, places[one.pool, one.lane]),
        )
        return any(limit is not None and count >= limit for limit, count in counts)

    assert sum(chosen.values()) <= most
    assert set(chosen) <= set(waiting)
    for one in chosen:
        before = {**after, one: after[one] - 1}
        assert (
            limits.per_user is None or sum(n for g, n in before.items() if g.owner_id == one.owner_id) < limits.per_user
        )
    if sum(chosen.values()) < most:
        assert all(full(one) for one in waiting)
