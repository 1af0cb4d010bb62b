"""Slots: limits hold over all workers, nobody is kept waiting by another's thousand tasks, and none is left held."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.domain.dispatch import Limits, Pool
from app.domain.identity import Viewer, new_id
from app.domain.status import RunStatus, TaskRunStatus
from app.engines.registry import EngineRegistry
from app.models import Playground, Run, TaskRun
from app.services import execution
from app.services.launching import Launch
from app.services.runs import RunService
from app.services.slots import Slots
from tests.support.engine import FakeEngine
from tests.support.workbench import Workbench


async def work_of(bench: Workbench, viewer: Viewer, *texts: str) -> Playground:
    """A playground of another person, with a task for each text."""
    before, bench.viewer = bench.viewer, viewer
    try:
        playground, _ = await bench.graph(dict.fromkeys(texts, ""))
    finally:
        bench.viewer = before
    return playground


async def running(bench: Workbench, count: int) -> bool:
    return len(bench.cluster.running) == count


async def launch(bench: Workbench, viewer: Viewer, playground: Playground) -> Run:
    return await bench.services.runs.launch(viewer, playground.id, Launch())


async def test_a_single_task_does_not_wait_for_another_users_queue(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However quickly these tasks end: else some of them end within the time between two shares, and their slots go on.
    monkeypatch.setattr(execution, "SHARE_EVERY", 0)
    monkeypatch.setattr(execution, "STALE_AFTER", 0)
    gate = asyncio.Event()
    texts = [f"many {number:03}" for number in range(60)]
    for text in texts:
        bench.cluster.plan(text, until=gate)
    guest = await bench.person()
    many, single = await work_of(bench, bench.viewer, *texts), await work_of(bench, guest, "single")
    async with bench.worker(adhoc_threadpool_size=2):
        busy = await launch(bench, bench.viewer, many)
        await bench.until(lambda: running(bench, 2))
        await launch(bench, guest, single)
        gate.set()
        assert (await bench.end_of(busy)).status is RunStatus.SUCCESS
    order = [text for text, _ in bench.cluster.submitted]
    assert order.index("single") <= 4  # one of the first that get a slot again
    assert len(order) == 61


async def test_a_full_worker_does_not_go_down_a_chain_past_those_who_wait(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("link-0", until=gate)
    chain, _ = await bench.graph({f"link-{n}": f"link-{n - 1}" if n else "" for n in range(30)})
    guest = await bench.person()
    single = await work_of(bench, guest, "single")
    async with bench.worker(adhoc_threadpool_size=1):
        busy = await bench.launch(chain)
        await bench.cluster.until_submitted("link-0")
        await launch(bench, guest, single)
        gate.set()
        assert (await bench.end_of(busy)).status is RunStatus.SUCCESS
    order = [text for text, _ in bench.cluster.submitted]
    assert order.index("single") <= 2
    assert len(order) == 31


LIMITS = [{"max_tasks_per_user": 3}, {"max_tasks_per_playground": 3}, {"max_tasks_per_connection": 3}]


@pytest.mark.parametrize("limit", [*LIMITS, {"connection_max_tasks": {"fake": 3}}], ids=lambda one: next(iter(one)))
async def test_a_limit_of_the_platform_holds_over_all_workers(bench: Workbench, limit: dict[str, Any]) -> None:
    runs = RunService(database=bench.database, lane_of=EngineRegistry(engines=[FakeEngine(bench.cluster)]).lane_of)
    texts = [f"t{number}" for number in range(24)]
    playground, _ = await bench.graph(dict.fromkeys(texts, "") | {"join": "t1 t2 t3"})
    async with AsyncExitStack() as stack:
        for _ in range(2):
            process = await bench.another_process()
            await stack.enter_async_context(bench.worker(process, **limit))
        for _ in range(2):  # the second time none of the slots of the first may be held
            gate = asyncio.Event()
            for text in texts:
                bench.cluster.plan(text, until=gate)
            run = await runs.launch(bench.viewer, playground.id, Launch())
            await bench.until(lambda: running(bench, 3))
            gate.set()
            assert (await bench.end_of(run)).status is RunStatus.SUCCESS
            assert bench.cluster.most_at_once == 3


async def test_a_limited_user_leaves_room_to_others(bench: Workbench) -> None:
    gate = asyncio.Event()
    for number in range(9):
        bench.cluster.plan(f"held {number}", until=gate)
    mine = await work_of(bench, bench.viewer, *(f"held {number}" for number in range(9)))
    guest = await bench.person()
    async with bench.worker(max_tasks_per_user=2):
        held = await launch(bench, bench.viewer, mine)
        await bench.until(lambda: running(bench, 2))
        other = await launch(bench, guest, await work_of(bench, guest, "free"))
        await bench.cluster.until_submitted("free")
        assert len(bench.cluster.running) <= 3
        gate.set()
        await bench.end_of(held)
    assert (await bench.services.runs.get(guest, other.id)) is not None


async def test_an_engine_gets_no_more_than_it_bears_and_the_rest_stays_queued(bench: Workbench) -> None:
    runs = RunService(database=bench.database, lane_of=EngineRegistry(engines=[FakeEngine(bench.cluster)]).lane_of)
    gate = asyncio.Event()
    for number in range(6):
        bench.cluster.plan(f"t{number}", until=gate)
    playground, _ = await bench.graph({f"t{number}": "" for number in range(6)})
    async with bench.worker(capacity=2):
        run = await runs.launch(bench.viewer, playground.id, Launch())
        await bench.until(lambda: running(bench, 2))
        statuses = list((await bench.statuses(run)).values())
        assert statuses.count(TaskRunStatus.RUNNING) == 2
        assert statuses.count(TaskRunStatus.QUEUED) == 4
        gate.set()
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    assert bench.cluster.most_at_once == 2


async def test_a_slot_is_given_back_however_a_task_ends(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("stuck", until=gate)
    bench.cluster.plan("late", until=gate)
    playground, _ = await bench.graph({"stuck": "", "late": ""})
    timed, _ = await bench.graph({"late": ""}, timeout_ms=30)
    async with bench.worker(adhoc_threadpool_size=2):
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("late")
        await bench.services.runs.cancel(bench.viewer, run.id)
        assert (await bench.end_of(run)).status is RunStatus.CANCELLED
        assert (await bench.run(timed)).status is RunStatus.FAILED
        gate.set()
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
    assert bench.cluster.most_at_once == 2


def test_a_slot_is_given_back_once_and_moves_only_where_nothing_bounds() -> None:
    slots = Slots(
        pools={Pool.ADHOC: 2, Pool.SCHEDULED: 1}, lanes={"mysql": 1}, most=2, limits=Limits(lanes={"hive": 9})
    )
    rung: list[None] = []
    slots.on_room(lambda: rung.append(None))
    slot = slots.take((Pool.ADHOC, "mysql"))
    assert slot is not None
    assert slots.take((Pool.SCHEDULED, "mysql")) is None
    assert slots.room(Pool.ADHOC, "presto") == 1
    assert slots.may_move(slot, (Pool.ADHOC, "mysql"))
    assert slots.may_move(slot, (Pool.ADHOC, "presto"))
    assert not slots.may_move(slot, (Pool.ADHOC, "hive"))
    assert not slots.may_move(slot, (Pool.SCHEDULED, "presto"))
    slots.move(slot, (Pool.ADHOC, "presto"))
    assert slots.room(Pool.ADHOC, "mysql") == 1
    slots.give_back(slot)
    slots.give_back(slot)
    assert slots.room(Pool.ADHOC, "presto") == 2
    assert len(rung) == 1


def test_the_slots_of_ended_tasks_are_passed_on_without_being_free() -> None:
    slots = Slots(pools={Pool.ADHOC: 1, Pool.SCHEDULED: 1}, lanes={}, limits=Limits(lanes={"hive": 9}))
    for lane in ("mysql", "hive"):  # the second has a limit of its own: no slot of another lane moves there
        ended = slots.take((Pool.ADHOC, "mysql"))
        assert ended is not None
        with slots.reserving(ended=[ended]) as reservation:
            assert slots.room(Pool.ADHOC, lane) == 0
            assert reservation.room(Pool.ADHOC, lane) == 1
            row = TaskRun(id=new_id(), pool=Pool.ADHOC, lane=lane)
            assert reservation.take(row)
            assert not reservation.take(TaskRun(id=new_id(), pool=Pool.ADHOC, lane=lane))
            kept = reservation.keep(row)
        assert slots.room(Pool.ADHOC, lane) == 0
        slots.give_back(kept)
        assert slots.room(Pool.ADHOC, lane) == 1
