"""Feeds of runs, playgrounds and logs over the database: from any cursor, to their end, for the owner alone."""

import asyncio
from contextlib import aclosing

import pytest

from app.domain.errors import NotFoundError
from app.models import Event
from tests.support.workbench import PATIENCE, Workbench

CHAIN = {"a": "", "b": "a", "c": "b"}


async def collect(batches) -> list:
    rows = []
    async with asyncio.timeout(PATIENCE), aclosing(batches):
        async for batch in batches:
            rows += batch.rows
    return rows


async def test_a_run_is_told_from_its_start_to_its_end_whenever_one_comes(bench: Workbench) -> None:
    playground, _ = await bench.graph(CHAIN)
    feeds = bench.services.run_feeds
    run = await bench.launch(playground)
    early = [asyncio.create_task(collect(feeds.run(bench.viewer, run.id, after=None))) for _ in range(5)]
    async with bench.worker():
        told = await asyncio.gather(*early)
    late = await collect(feeds.run(bench.viewer, run.id, after=None))
    expected = [(event.sequence, event.status) for event in late]
    assert [status for _, status in expected] == [
        "PENDING",
        *["QUEUED", "RUNNING", "RUNNING", "SUCCESS"],  # the first task is queued at once, and starts the run
        *["QUEUED", "RUNNING", "SUCCESS"] * 2,
        "SUCCESS",
    ]
    for each in told:
        assert [(event.sequence, event.status) for event in each] == expected


async def test_a_client_that_comes_back_with_any_cursor_gets_what_it_missed(bench: Workbench) -> None:
    playground, _ = await bench.graph(CHAIN)
    async with bench.worker():
        run = await bench.run(playground)
    everything = await bench.events_to_end(run)
    for cursor in (0, *(event.sequence for event in everything)):
        rows = await collect(bench.services.run_feeds.run(bench.viewer, run.id, after=cursor))
        assert [row.sequence for row in rows] == [row.sequence for row in everything if row.sequence > cursor]


async def test_a_cursor_beyond_the_last_event_does_not_hide_the_runs_end(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        following = asyncio.create_task(collect(bench.services.run_feeds.run(bench.viewer, run.id, after=10**17)))
        await asyncio.sleep(0.05)
        gate.set()
        rows = await following
    assert rows[-1].status == "SUCCESS"
    assert rows[-1].task_run_id is None


async def test_a_run_tells_nothing_of_another_run_and_the_playground_tells_of_all(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    feeds = bench.services.run_feeds
    seen: list[Event] = []
    ready = asyncio.Event()

    async def watch() -> None:
        async with aclosing(feeds.playground(bench.viewer, playground.id, after=None)) as batches:
            ready.set()
            async for batch in batches:
                seen.extend(batch.rows)

    watching = asyncio.create_task(watch())
    await ready.wait()
    await asyncio.sleep(0.05)
    async with bench.worker():
        first, second = await bench.run(playground), await bench.run(playground)
    everything = [*await bench.events_to_end(first), *await bench.events_to_end(second)]
    assert {event.run_id for event in await bench.events_to_end(second)} == {second.id}

    async def all_seen() -> bool:
        return len(seen) >= len(everything)

    await bench.until(all_seen)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert [event.sequence for event in seen] == [event.sequence for event in everything]


async def test_a_log_is_told_line_by_line_to_its_end(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    bench.cluster.plan("a", log=tuple(f"line {number}" for number in range(1200)))
    gate = asyncio.Event()
    bench.cluster.plans["a"].until = gate
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        row = (await bench.task_runs(run))["a"]
        following = asyncio.create_task(collect(bench.services.run_feeds.log(bench.viewer, row.id, after=None)))
        await asyncio.sleep(0.05)
        gate.set()
        lines = await following
    assert [line.text for line in lines] == [f"line {number}" for number in range(1200)]
    again = await collect(bench.services.run_feeds.log(bench.viewer, row.id, after=lines[999].sequence))
    assert [line.text for line in again] == [f"line {number}" for number in range(1000, 1200)]


async def test_feeds_are_the_owners_alone(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    row = (await bench.task_runs(run))["a"]
    stranger, feeds = await bench.person(), bench.services.run_feeds
    for batches in (
        feeds.run(stranger, run.id, after=None),
        feeds.playground(stranger, playground.id, after=None),
        feeds.log(stranger, row.id, after=None),
    ):
        with pytest.raises(NotFoundError):
            await collect(batches)


async def test_after_the_last_follower_nothing_is_left_behind(bench: Workbench) -> None:
    playground, _ = await bench.graph(CHAIN)
    run = await bench.launch(playground)
    following = asyncio.create_task(collect(bench.services.run_feeds.run(bench.viewer, run.id, after=None)))
    async with bench.worker():
        rows = await following
    assert rows[-1].status == "SUCCESS"
    assert not bench.process.bell._listeners
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("feed ")]
