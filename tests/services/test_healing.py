"""Healing: a run that nothing moves goes on or ends as its edges and statuses say; one that is well is left alone."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.domain.healing import heal
from app.domain.status import RunStatus, TaskRunStatus
from app.models import Run
from app.services.healing import MESSAGE, HealingService
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

GRACE = timedelta(minutes=5)
LONG_AGO = GRACE * 2
T = TaskRunStatus


def service(bench: Workbench, *, grace: timedelta = GRACE) -> HealingService:
    return HealingService(database=bench.database, grace=grace)


async def write(bench: Workbench, *statements: str) -> None:
    """Past the one door."""

    async def work(unit: UnitOfWork) -> None:
        for statement in statements:
            await unit._session.execute(text(statement))

    await bench.database.write(work)


async def stuck(bench: Workbench, edges: dict[str, str], statuses: dict[str, str], *, run: str = "RUNNING") -> Run:
    """A run whose rows say this, and in which nothing has happened for long."""
    playground, _ = await bench.graph(edges)
    launched = await bench.launch(playground)
    of = f"run_id = '{launched.id.hex}'"
    await write(
        bench,
        f"UPDATE run SET status = '{run}' WHERE id = '{launched.id.hex}'",
        f"UPDATE task_run SET pending_parents = 9, queued_at = NULL WHERE {of}",
        *(
            f"UPDATE task_run SET status = '{status}' WHERE {of} AND name = '{name}'"
            for name, status in statuses.items()
        ),
    )
    await grow_old(bench, launched)
    return launched


async def grow_old(bench: Workbench, run: Run) -> None:
    await bench.age("run", "created_at", LONG_AGO, [run.id])
    past = "2020-01-01 00:00:00.000000"
    await write(bench, f"UPDATE event SET at = '{past}' WHERE run_id = '{run.id.hex}'")


async def test_a_child_that_was_never_queued_runs_and_the_run_ends(bench: Workbench) -> None:
    run = await stuck(bench, {"a": "", "b": "a", "c": "b"}, {"a": "SUCCESS", "b": "PENDING", "c": "PENDING"})
    assert (await service(bench).heal()).runs == 1
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    assert MESSAGE in {event.message for event in await bench.events_to_end(run)}


async def test_what_can_never_run_is_marked_and_the_other_branch_goes_on(bench: Workbench) -> None:
    edges = {"a": "", "b": "a", "c": "b", "x": "", "y": "x"}
    statuses = {"a": "FAILED", "b": "PENDING", "c": "PENDING", "x": "SUCCESS", "y": "PENDING"}
    run = await stuck(bench, edges, statuses)
    await service(bench).heal()
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.PARTIAL_SUCCESS
    assert await bench.statuses(run) == {
        "a": T.FAILED, "b": T.UPSTREAM_FAILED, "c": T.UPSTREAM_FAILED, "x": T.SUCCESS, "y": T.SUCCESS
    }  # fmt: skip


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
async def test_a_run_whose_tasks_have_all_ended_ends_and_sets_its_playground_free(
    bench: Workbench, status: str
) -> None:
    run = await stuck(bench, {"a": "", "b": ""}, {"a": "SUCCESS", "b": "SUCCESS"}, run=status)
    await service(bench).heal()
    row = await bench.row(run)
    assert row.status is RunStatus.SUCCESS
    assert row.ended_at is not None
    playground = await bench.services.playgrounds.get(bench.viewer, run.playground_id)
    assert playground is not None
    assert playground.active_run_id is None


async def test_a_run_that_was_never_begun_begins(bench: Workbench) -> None:
    run = await stuck(bench, {"a": "", "b": "a"}, {"a": "PENDING", "b": "PENDING"}, run="PENDING")
    await service(bench).heal()
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def test_a_run_that_is_to_be_cancelled_is_cancelled(bench: Workbench) -> None:
    run = await stuck(bench, {"a": "", "b": "a"}, {"a": "SUCCESS", "b": "PENDING"})
    await write(bench, f"UPDATE run SET cancel_requested = 1 WHERE id = '{run.id.hex}'")
    await service(bench).heal()
    assert (await bench.row(run)).status is RunStatus.CANCELLED
    assert await bench.statuses(run) == {"a": T.SUCCESS, "b": T.CANCELLED}


async def test_a_playground_that_waits_for_a_run_that_is_over_is_set_free(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    async with bench.worker():
        run = await bench.run(playground)
        await write(bench, f"UPDATE playground SET active_run_id = '{run.id.hex}' WHERE id = '{playground.id.hex}'")
        assert (await service(bench).heal()).playgrounds == 1
        assert (await bench.run(playground)).status is RunStatus.SUCCESS


async def test_a_run_that_moves_or_has_just_moved_is_left_alone(bench: Workbench) -> None:
    queued, _ = await bench.graph({"a": "", "b": "a"})
    waits = await bench.launch(queued)
    await grow_old(bench, waits)
    young = await stuck(bench, {"a": "", "b": "a"}, {"a": "SUCCESS", "b": "PENDING"})
    await write(bench, f"UPDATE event SET at = '2100-01-01 00:00:00.000000' WHERE run_id = '{young.id.hex}'")
    healed = await service(bench).heal()
    assert (healed.runs, healed.playgrounds) == (0, 0)
    assert await bench.statuses(waits) == {"a": T.QUEUED, "b": T.PENDING}


async def test_without_any_grace_runs_that_are_well_are_left_alone(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", **{f"b{n}": "a" for n in range(8)}, "c": "b0 b1 b2 b3"})
    healing = service(bench, grace=timedelta())
    async with bench.worker():
        run = await bench.launch(playground)
        ended = asyncio.create_task(bench.end_of(run))
        healed = 0
        while not ended.done():
            healed += (await healing.heal()).runs
    assert healed == 0
    assert (await ended).status is RunStatus.SUCCESS


async def test_many_who_heal_at_once_heal_once(bench: Workbench) -> None:
    run = await stuck(bench, {"a": "", "b": "a"}, {"a": "SUCCESS", "b": "PENDING"})
    other = HealingService(database=(await bench.another_process()).database, grace=GRACE)
    healed = await asyncio.gather(service(bench).heal(), service(bench).heal(), other.heal())
    assert sum(each.runs for each in healed) == 1
    assert await bench.statuses(run) == {"a": T.SUCCESS, "b": T.QUEUED}


def test_what_waits_is_counted_anew() -> None:
    statuses = {"a": T.SUCCESS, "b": T.PENDING, "c": T.PENDING, "d": T.PENDING, "e": T.SKIPPED, "f": T.CANCELLED}
    parents = {"b": {"a", "e"}, "c": {"a", "b"}, "d": {"c", "f"}}
    found = heal(statuses, parents)
    assert (found.ready, found.doomed, found.waiting) == ({"b"}, {"d"}, {"c": 1})
