"""A worker that finds, at its heartbeat, that another has taken its work lets go of it, and stops what is nobody's."""

import asyncio
from uuid import UUID

import pytest

from app.domain.status import RunStatus, TaskRunStatus
from app.models import Run
from tests.support.workbench import Hand, Workbench


async def until_taken(bench: Workbench, run: Run, second: Hand) -> None:
    async def taken() -> bool:
        return (await bench.task_runs(run))["a"].worker_id == second.id

    await bench.until(taken)


async def until_running(bench: Workbench, run: Run, *, durable: bool) -> UUID:
    async def running() -> bool:
        row = (await bench.task_runs(run))["a"]
        return row.status is TaskRunStatus.RUNNING and (not durable or row.handle is not None)

    await bench.until(running)
    return (await bench.task_runs(run))["a"].id


@pytest.mark.parametrize("durable", [False, True])
async def test_what_another_follows_goes_on_and_what_nobody_follows_is_stopped(bench: Workbench, durable: bool) -> None:
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate, durable=durable)
    first, second = await bench.hand(), await bench.hand()
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    carrying = asyncio.create_task(first.start(run))
    await bench.cluster.until_submitted("a")
    task_run_id = await until_running(bench, run, durable=durable)
    await first.lease.beat()
    assert bench.cluster.cancelled == [], "what it holds still is let alone"
    await first.die()
    taking_over = asyncio.create_task(second.execute(task_run_id))
    await until_taken(bench, run, second)
    await first.lease.beat()
    async with asyncio.timeout(20):
        if not durable:
            await bench.cluster.until_cancelled("a")
            await carrying
        gate.set()
        await asyncio.gather(carrying, taking_over)
    assert bench.cluster.cancelled == ([] if durable else ["a"])
    assert len(first.held) == 0
    assert (await bench.row(run)).status is RunStatus.SUCCESS
