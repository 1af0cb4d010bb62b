"""What becomes of a worker's tasks when it dies, is stopped, or comes back after it was taken for dead."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.domain.events import JobName
from app.domain.status import RunStatus, TaskRunStatus
from app.models import Run
from app.services.claims import MAX_LOSSES
from tests.support.workbench import LEASE, Hand, Workbench

SUCCESS, RUNNING, QUEUED = TaskRunStatus.SUCCESS, TaskRunStatus.RUNNING, TaskRunStatus.QUEUED


async def held_by(bench: Workbench, hand: Hand, edges: dict[str, str]) -> tuple[Run, "asyncio.Task[None]", UUID]:
    """A run whose first task the hand holds: its engine works, and does not end before it is told."""
    playground, _ = await bench.graph(edges)
    run = await bench.launch(playground)
    carrying = asyncio.create_task(hand.start(run))
    await bench.cluster.until_submitted("a")
    await bench.until(lambda: _settled(bench, run))
    return run, carrying, (await bench.task_runs(run))["a"].id


async def _settled(bench: Workbench, run: Run) -> bool:
    row = (await bench.task_runs(run))["a"]
    return row.status is RUNNING and (row.handle is not None or not bench.cluster.plans["a"].durable)


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_work_that_another_can_find_again_goes_on_and_is_not_submitted_twice(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate, durable=True, log=("said before",))
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": "", "b": "a"})
    handle = (await bench.task_runs(run))["a"].handle
    await first.die()
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await bench.until(lambda: _is_held_by(bench, run, second))
    gate.set()
    await taking_over
    await carrying
    row = (await bench.task_runs(run))["a"]
    assert bench.cluster.submitted == [("a", 1), ("b", 1)]
    assert (row.status, row.attempt, row.losses, row.handle) == (SUCCESS, 1, 0, handle)
    assert [attempt.worker_id for attempt in await bench.attempts(row)] == [second.id]
    assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    assert any("re-attached" in line for line in await bench.log_of(row))


async def test_work_is_found_again_by_the_name_that_it_had_last(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate, durable=True, renamed=True)
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": ""})
    await bench.until(lambda: _is_renamed(bench, run))
    await first.die()
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await bench.until(lambda: _is_held_by(bench, run, second))
    gate.set()
    await taking_over
    await carrying
    assert bench.cluster.submitted == [("a", 1)]
    assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def _is_renamed(bench: Workbench, run: Run) -> bool:
    return str((await bench.task_runs(run))["a"].handle).endswith("-renamed")


async def test_work_that_died_with_its_worker_begins_a_new_attempt_that_is_no_retry(bench: Workbench) -> None:
    bench.cluster.plan("a", until=asyncio.Event())
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": "", "b": "a"})
    await first.die()
    bench.cluster.plan("a")
    await second.execute(task_run_id)
    row = (await bench.task_runs(run))["a"]
    assert (row.status, row.attempt, row.losses, row.error_code) == (SUCCESS, 2, 1, None)
    attempts = await bench.attempts(row)
    assert [(each.attempt, each.status, each.error_code, each.worker_id) for each in attempts] == [
        (1, TaskRunStatus.FAILED, "WORKER_LOST", first.id),
        (2, SUCCESS, None, second.id),
    ]
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    await end(carrying)


async def test_a_task_that_loses_its_worker_again_and_again_has_failed(bench: Workbench) -> None:
    bench.cluster.plan("a", until=asyncio.Event())
    hand = await bench.hand()
    run, carrying, task_run_id = await held_by(bench, hand, {"a": "", "b": "a", "c": ""})
    left = [carrying]
    for losses in range(1, MAX_LOSSES + 1):
        await hand.die()
        hand = await bench.hand()
        left.append(asyncio.create_task(hand.execute(task_run_id)))
        if losses < MAX_LOSSES:
            await bench.cluster.until_submitted("a", times=losses + 1)
    await left[-1]
    row = (await bench.task_runs(run))["a"]
    assert (row.status, row.error_code, row.losses) == (TaskRunStatus.FAILED, "WORKER_LOST", MAX_LOSSES)
    assert bench.cluster.attempts_at("a") == MAX_LOSSES
    await hand.execute((await bench.task_runs(run))["c"].id)
    assert await bench.statuses(run) == {
        "a": TaskRunStatus.FAILED,
        "b": TaskRunStatus.UPSTREAM_FAILED,
        "c": SUCCESS,
    }
    assert (await bench.row(run)).status is RunStatus.PARTIAL_SUCCESS
    for task in left:
        await end(task)


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_a_worker_that_was_taken_for_dead_and_comes_back_changes_nothing(bench: Workbench, ends: str) -> None:
    gate = asyncio.Event()
    failures = [] if ends == "well" else [RuntimeError("a late failure")]
    bench.cluster.plan("a", until=gate, failures=failures, log=("a line of the one that is gone",))
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": "", "b": "a"})
    await first.die()
    other_gate = asyncio.Event()
    bench.cluster.plan("a", until=other_gate)
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await bench.cluster.until_submitted("a", times=2)
    before = await _picture(bench, run)
    gate.set()  # it is back, and has not looked at the database yet
    await carrying
    assert await _picture(bench, run) == before
    assert (await bench.statuses(run)) == {"a": RUNNING, "b": TaskRunStatus.PENDING}
    other_gate.set()
    await taking_over
    row = (await bench.task_runs(run))["a"]
    assert (row.status, row.attempt) == (SUCCESS, 2)
    assert "/2/" in (row.output_location or "")
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    assert bench.cluster.attempts_at("b") == 1


async def test_two_that_follow_the_same_work_end_it_once_and_keep_its_log_whole(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate, durable=True)
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": ""})
    await first.die()
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await bench.until(lambda: _is_held_by(bench, run, second))
    for held in (first.held, second.held):  # both have heard lines that the other knows nothing of
        for task in held._held.values():
            task.note("a line", at=run.created_at)
            await second.attempts._flush_log(task)
    gate.set()
    await asyncio.gather(carrying, taking_over)
    row = (await bench.task_runs(run))["a"]
    assert (row.status, row.error_code) == (SUCCESS, None)
    assert len(await bench.attempts(row)) == 1
    told = [event.status for event in await bench.events_to_end(run) if event.task_run_id == row.id]
    assert told == ["QUEUED", "RUNNING", "SUCCESS"]


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "lost"])
async def test_a_worker_that_finds_its_task_taken_lets_go_of_it(bench: Workbench, durable: bool) -> None:
    bench.cluster.plan("a", until=asyncio.Event(), durable=durable)
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": ""})
    await first.die()
    gate = asyncio.Event()
    if durable:
        bench.cluster.plans["a"].until = gate
    else:
        bench.cluster.plan("a", until=gate)
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await bench.until(lambda: _is_held_by(bench, run, second))
    await first.lease.beat()
    if durable:
        gate.set()  # nobody has stopped what both followed
    else:
        await bench.cluster.until_cancelled("a")  # its own attempt would go on in the engine for nothing
    await carrying
    gate.set()
    await taking_over
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    assert bench.cluster.cancelled == ([] if durable else ["a"])


async def test_a_job_that_comes_to_two_workers_is_done_by_one(bench: Workbench) -> None:
    playground, _ = await bench.graph({"root": "", "x": "root", "y": "root", "z": "root"})
    first, second = await bench.hand(), await bench.hand(await bench.another_process())
    gate = asyncio.Event()
    bench.cluster.plan("root", until=gate)
    run = await bench.launch(playground)
    starting = [asyncio.create_task(hand.start(run)) for hand in (first, second, first)]
    await bench.cluster.until_submitted("root")
    gate.set()
    await asyncio.gather(*starting)
    ids = [row.id for row in (await bench.task_runs(run)).values()]
    await asyncio.gather(*(hand.execute(id_) for id_ in ids for hand in (first, second, first)))
    assert sorted(bench.cluster.submitted) == [("root", 1), ("x", 1), ("y", 1), ("z", 1)]
    assert (await bench.row(run)).status is RunStatus.SUCCESS


async def test_a_living_workers_task_is_left_alone(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    first, second = await bench.hand(), await bench.hand()
    run, carrying, task_run_id = await held_by(bench, first, {"a": ""})
    await second.execute(task_run_id)
    await first.execute(task_run_id)
    assert bench.cluster.attempts_at("a") == 1
    gate.set()
    await carrying
    assert (await bench.row(run)).status is RunStatus.SUCCESS


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "lost"])
async def test_a_worker_that_is_stopped_hands_its_tasks_over(bench: Workbench, durable: bool) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate, durable=durable)
    playground, _ = await bench.graph({"a": "", "b": "a"})
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await bench.until(lambda: _settled(bench, run))
    row = (await bench.task_runs(run))["a"]
    assert row.status is (RUNNING if durable else QUEUED)
    assert row.worker_id is None
    assert (bench.cluster.cancelled == ["a"]) is not durable
    assert await bench.process.queue.length(JobName.EXECUTE_TASKS) == 1
    assert await bench.scalar("SELECT count(*) FROM worker") == 0
    gate.set()
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    row = (await bench.task_runs(run))["a"]
    assert (row.attempt, row.losses) == ((1, 0) if durable else (2, 1))
    assert bench.cluster.attempts_at("a") == row.attempt


async def test_a_worker_with_time_to_spare_ends_what_it_holds_and_takes_nothing_new(bench: Workbench) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    hand = await bench.hand()
    run, carrying, _ = await held_by(bench, hand, {"a": "", "b": "a"})
    draining = asyncio.create_task(hand.execution.hand_over(grace=timedelta(seconds=10)))
    await asyncio.sleep(0)
    gate.set()
    await draining
    await carrying
    assert await bench.statuses(run) == {"a": SUCCESS, "b": QUEUED}
    await hand.execute((await bench.task_runs(run))["b"].id)
    assert bench.cluster.attempts_at("b") == 0


async def test_a_worker_that_is_stopped_in_mid_claim_ends_what_it_has_claimed(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, _ = await bench.graph({"a": ""})
    hand = await bench.hand()
    run = await bench.launch(playground)
    claim, claimed = hand.execution._claims.from_queue, asyncio.Event()

    async def claim_slowly(*arguments: Any, **named: Any) -> Any:
        found = await claim(*arguments, **named)
        claimed.set()
        await asyncio.sleep(0.1)  # it is about to be committed
        return found

    monkeypatch.setattr(hand.execution._claims, "from_queue", claim_slowly)
    carrying = asyncio.create_task(hand.start(run))
    await claimed.wait()
    await hand.execution.hand_over(grace=timedelta(seconds=10))
    assert await bench.statuses(run) == {"a": SUCCESS}
    await carrying


async def test_a_whole_worker_dies_and_another_goes_on_by_the_sweeper(bench: Workbench) -> None:
    bench.cluster.plan("a", until=asyncio.Event())
    dead = await bench.hand()  # it never beats again
    run, carrying, _ = await held_by(bench, dead, {"a": "", "b": "a"})
    await bench.age("worker", "heartbeat_at", LEASE * 2, [dead.id])
    bench.cluster.plan("a")
    async with bench.worker():
        assert (await bench.sweep()).dead_workers == 1
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    assert bench.cluster.attempts_at("a") == 2
    await end(carrying)


async def test_a_claim_whose_answer_was_lost_is_settled_by_the_heartbeat(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    hand = await bench.hand()
    run = await bench.launch(playground)

    async def claim_and_forget(unit) -> None:
        ledger = await unit.open_ledger(playground.id)
        await hand.execution._claims.claim(
            unit.these(ledger), await unit.runs.task_runs_of([run.id]), at=run.created_at
        )

    await bench.database.write(claim_and_forget)
    row = (await bench.task_runs(run))["a"]
    jobs = await bench.process.queue.length(JobName.EXECUTE_TASKS)
    await hand.lease.beat()
    fresh = (await bench.task_runs(run))["a"]
    assert fresh.worker_id == hand.id  # it may still be on its way from the commit to memory
    await bench.age("task_run", "started_at", timedelta(seconds=6), [row.id])
    await hand.lease.beat()
    assert (await bench.task_runs(run))["a"].worker_id is None
    assert await bench.process.queue.length(JobName.EXECUTE_TASKS) == jobs + 1
    await hand.execute(row.id)
    assert (await bench.row(run)).status is RunStatus.SUCCESS


async def test_a_timeout_counts_from_the_start_of_the_work_and_not_of_the_takeover(bench: Workbench) -> None:
    bench.cluster.plan("a", until=asyncio.Event(), durable=True)
    first, second = await bench.hand(), await bench.hand()
    playground, _ = await bench.graph({"a": ""}, timeout_ms=60_000)
    run = await bench.launch(playground)
    carrying = asyncio.create_task(first.start(run))
    await bench.cluster.until_submitted("a")
    await bench.until(lambda: _settled(bench, run))
    row = (await bench.task_runs(run))["a"]
    await first.die()
    await end(carrying)
    await bench.age("task_run", "started_at", timedelta(seconds=61), [row.id])
    await asyncio.wait_for(second.execute(row.id), 15)
    assert (await bench.task_runs(run))["a"].error_code == "TIMEOUT"
    assert bench.cluster.cancelled == ["a"]


async def _is_held_by(bench: Workbench, run: Run, hand: Hand) -> bool:
    row = (await bench.task_runs(run))["a"]
    return row.worker_id == hand.id and row.id in hand.held


async def _picture(bench: Workbench, run: Run) -> tuple[object, ...]:
    row = (await bench.task_runs(run))["a"]
    playground = await bench.services.playgrounds.get(bench.viewer, run.playground_id)
    assert playground is not None
    return (row.status, row.attempt, row.worker_id, row.error_code, row.output_location, playground.event_sequence)
