"""Cancelling: what waits does not start, what runs is stopped in its engine, and no restart forgets it."""

import asyncio

import pytest

from app.domain.errors import IllegalStateError
from app.domain.status import RunStatus, TaskRunStatus
from app.engines.base import TransientEngineError
from tests.support.workbench import Workbench

CHAIN = {"a": "", "b": "a", "c": "b"}
CANCELLED = TaskRunStatus.CANCELLED


async def test_what_waits_and_what_runs_is_cancelled(bench: Workbench) -> None:
    playground, _ = await bench.graph({"done": "", "slow": "done", "after": "slow"})
    bench.cluster.plan("slow", until=asyncio.Event())
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("slow")
        asked = await bench.services.runs.cancel(bench.viewer, run.id)
        assert asked.cancel_requested
        ended = await bench.end_of(run)
    assert ended.status is RunStatus.CANCELLED
    assert await bench.statuses(run) == {"done": TaskRunStatus.SUCCESS, "slow": CANCELLED, "after": CANCELLED}
    assert bench.cluster.cancelled == ["slow"]
    rows = await bench.task_runs(run)
    assert [attempt.status for attempt in await bench.attempts(rows["slow"])] == [CANCELLED]
    assert rows["after"].ended_at is not None
    messages = [event.message for event in await bench.events_to_end(run)]
    assert "Cancelling was asked for." in messages


async def test_a_run_that_no_worker_has_taken_up_is_cancelled_at_once(bench: Workbench) -> None:
    playground, _ = await bench.graph(CHAIN)
    run = await bench.launch(playground)
    ended = await bench.services.runs.cancel(bench.viewer, run.id)
    assert ended.status is RunStatus.CANCELLED
    async with bench.worker():  # its job comes late
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
    assert [text for text, _ in bench.cluster.submitted] == ["a", "b", "c"]
    assert set((await bench.statuses(run)).values()) == {CANCELLED}


async def test_cancelling_twice_is_once_and_after_the_end_is_refused(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    bench.cluster.plan("a", until=asyncio.Event())
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await asyncio.gather(*(bench.services.runs.cancel(bench.viewer, run.id) for _ in range(3)))
        await bench.end_of(run)
        assert bench.cluster.cancelled == ["a"]
        with pytest.raises(IllegalStateError, match="Run 1 has ended already") as refusal:
            await bench.services.runs.cancel(bench.viewer, run.id)
    assert refusal.value.path == ("runId",)


async def test_a_retry_that_waits_is_cancelled(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=3, retry_delay_ms=60_000)
    bench.cluster.plan("a", failures=[TransientEngineError("lost")])
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.until_status(run, "a", TaskRunStatus.QUEUED)
        await bench.until(lambda: _attempted(bench, run))
        ended = await bench.services.runs.cancel(bench.viewer, run.id)
    assert ended.status is RunStatus.CANCELLED
    assert bench.cluster.attempts_at("a") == 1


async def test_a_transient_failure_of_a_cancelled_run_is_not_tried_again(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=3)
    gate = asyncio.Event()
    bench.cluster.plan("a", failures=[TransientEngineError("lost")], until=gate)
    hand = await bench.hand()  # it does not listen for cancelling
    run = await bench.launch(playground)
    carrying = asyncio.create_task(hand.start(run))
    await bench.cluster.until_submitted("a")
    await bench.services.runs.cancel(bench.viewer, run.id)
    gate.set()
    await carrying
    assert bench.cluster.attempts_at("a") == 1
    assert (await bench.row(run)).status.ended


async def test_an_engine_that_is_taking_work_when_it_is_cancelled_is_told_once_it_has(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    gate = asyncio.Event()
    bench.cluster.plan("a", submit_when=gate, until=asyncio.Event())
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await bench.services.runs.cancel(bench.viewer, run.id)
        await bench.until(lambda: _is(bench, run, "cancel_requested"))
        await asyncio.sleep(0.15)  # the worker has heard of it by now
        gate.set()
        await bench.cluster.until_cancelled("a")
        assert (await bench.end_of(run)).status is RunStatus.CANCELLED


async def test_a_ring_that_was_lost_is_found_by_the_next_heartbeat(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    bench.cluster.plan("a", until=asyncio.Event())
    hand = await bench.hand()
    run = await bench.launch(playground)
    carrying = asyncio.create_task(hand.start(run))
    await bench.cluster.until_submitted("a")
    await bench.services.runs.cancel(bench.viewer, run.id)
    await hand.lease.beat()
    await carrying
    assert (await bench.row(run)).status is RunStatus.CANCELLED
    assert bench.cluster.cancelled == ["a"]


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "lost"])
async def test_cancelling_outlives_the_worker_that_should_have_heard_it(bench: Workbench, durable: bool) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"})
    bench.cluster.plan("a", until=asyncio.Event(), durable=durable)
    first, second = await bench.hand(), await bench.hand()
    run = await bench.launch(playground)
    carrying = asyncio.create_task(first.start(run))
    await bench.cluster.until_submitted("a")
    await bench.until(lambda: _handled(bench, run, durable=durable))
    await first.die()
    await bench.services.runs.cancel(bench.viewer, run.id)

    row = (await bench.task_runs(run))["a"]
    taking_over = asyncio.create_task(second.execute(row.id))
    if durable:
        await bench.until(lambda: _holds(second.held, row.id))
        await second.lease.beat()
    await asyncio.wait_for(taking_over, 15)
    assert (await bench.row(run)).status is RunStatus.CANCELLED
    assert bench.cluster.attempts_at("a") == 1  # it was not begun again only to be cancelled
    assert (bench.cluster.cancelled == ["a"]) is durable
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
    assert (await bench.statuses(run)) == {"a": CANCELLED, "b": CANCELLED}


async def test_what_a_stopped_worker_gives_back_of_a_cancelled_run_does_not_start_again(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    bench.cluster.plan("a", until=asyncio.Event())
    first = await bench.hand()
    run = await bench.launch(playground)
    carrying = asyncio.create_task(first.start(run))
    await bench.cluster.until_submitted("a")
    await bench.services.runs.cancel(bench.viewer, run.id)
    carrying.cancel()  # before its heartbeat
    await asyncio.gather(carrying, return_exceptions=True)
    second = await bench.hand()
    await second.execute((await bench.task_runs(run))["a"].id)
    assert (await bench.row(run)).status is RunStatus.CANCELLED
    assert bench.cluster.attempts_at("a") == 1


async def _attempted(bench: Workbench, run) -> bool:
    return bool(await bench.attempts((await bench.task_runs(run))["a"]))


async def _is(bench: Workbench, run, name: str) -> bool:
    return bool(getattr(await bench.row(run), name))


async def _handled(bench: Workbench, run, *, durable: bool) -> bool:
    return not durable or (await bench.task_runs(run))["a"].handle is not None


async def _holds(held, id_) -> bool:
    return id_ in held
