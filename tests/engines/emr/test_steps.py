"""Steps on their clusters: what many of them cost, and what becomes of throttling."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from app.aws.cluster import EmrClusters
from app.aws.errors import TerminalAwsError
from app.engines.base import TerminalEngineError
from app.engines.emr.steps import Steps
from tests.engines.emr.planned_aws import PlannedAws

INTERVAL = timedelta(milliseconds=10)


@pytest.fixture
def aws() -> PlannedAws:
    return PlannedAws()


@pytest.fixture
async def steps(aws):
    steps = Steps(clusters=EmrClusters(clients=aws), interval=INTERVAL)
    yield steps
    await steps.close()


async def given(steps: Steps, count: int) -> list[str]:
    return await asyncio.gather(*(steps.add("j-1", {"Name": f"step {number}"}) for number in range(count)))


async def end_of(steps: Steps, step: str) -> str:
    states = [status.state async for status in steps.follow("j-1", step)]
    return states[-1]


async def looks(aws: PlannedAws, count: int) -> None:
    before = aws.count("list_steps")
    async with asyncio.timeout(10):
        while aws.count("list_steps") < before + count:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


async def test_fifty_steps_are_given_by_one_call_each_with_its_own_id(aws, steps):
    ids = await given(steps, 50)
    assert [aws.steps[id_]["name"] for id_ in ids] == [f"step {number}" for number in range(50)]
    assert aws.count("add_job_flow_steps") == 1


async def test_steps_that_come_while_a_call_is_under_way_go_with_the_next(aws, steps, monkeypatch):
    calls, answer, call = asyncio.Queue(), asyncio.Event(), aws.call

    async def slow(service: str, operation: str, **arguments: object) -> object:
        calls.put_nowait([step["Name"] for step in arguments["Steps"]])
        await answer.wait()
        return await call(service, operation, **arguments)

    monkeypatch.setattr(aws, "call", slow)
    adding = [asyncio.create_task(steps.add("j-1", {"Name": "first"}))]
    assert await calls.get() == ["first"]
    for name in ("second", "third"):
        adding.append(asyncio.create_task(steps.add("j-1", {"Name": name})))
        await asyncio.sleep(INTERVAL.total_seconds())
    answer.set()
    assert await asyncio.gather(*adding) == ["s-0", "s-1", "s-2"]
    assert await calls.get() == ["second", "third"]


async def test_a_step_waits_for_those_that_are_about_to_come_and_not_for_those_that_do_not(aws, steps, monkeypatch):
    monkeypatch.setattr("app.engines.emr.steps._PATIENCE", 60)
    with suppress(ZeroDivisionError), steps.coming():
        with steps.coming():
            first = asyncio.create_task(steps.add("j-1", {"Name": "first"}))
            await asyncio.sleep(INTERVAL.total_seconds() * 5)
        second = asyncio.create_task(steps.add("j-1", {"Name": "second"}))
        await asyncio.sleep(INTERVAL.total_seconds() * 5)
        assert aws.calls == []
        raise ZeroDivisionError
    assert await asyncio.gather(first, second) == ["s-0", "s-1"]
    assert aws.count("add_job_flow_steps") == 1


async def test_a_step_does_not_wait_for_ever_for_one_that_is_about_to_come(steps, monkeypatch):
    monkeypatch.setattr("app.engines.emr.steps._PATIENCE", 0.01)
    with steps.coming():
        assert await steps.add("j-1", {"Name": "alone"}) == "s-0"


async def test_a_look_at_fifty_steps_is_one_call(aws, steps):
    following = [asyncio.create_task(end_of(steps, id_)) for id_ in await given(steps, 50)]
    await looks(aws, 5)
    assert len(aws.calls) - aws.count("list_steps") == 1
    assert all(arguments.get("StepIds") is None for name, arguments in aws.calls if name == "list_steps")
    assert all("Marker" not in arguments for name, arguments in aws.calls if name == "list_steps")
    for step in aws.steps.values():
        step["state"] = "COMPLETED"
    assert set(await asyncio.gather(*following)) == {"COMPLETED"}
    after = aws.count("list_steps")
    await asyncio.sleep(INTERVAL.total_seconds() * 5)
    assert aws.count("list_steps") == after, "nobody follows a step any more"


async def test_an_old_step_below_hundreds_of_newer_ones_is_asked_for_by_its_id(aws, steps):
    old, *_ = await given(steps, 1)
    await given(steps, 500)
    following = asyncio.create_task(end_of(steps, old))
    await looks(aws, 2)
    assert aws.arguments("list_steps")["StepIds"] == [old]
    aws.steps[old]["state"] = "FAILED"
    assert await following == "FAILED"


async def test_steps_on_many_pages_are_all_seen(aws, steps):
    ids = await given(steps, 180)
    following = [asyncio.create_task(end_of(steps, id_)) for id_ in ids]
    await asyncio.sleep(0)
    for step in aws.steps.values():
        step["state"] = "COMPLETED"
    async with asyncio.timeout(10):
        assert len(await asyncio.gather(*following)) == 180


async def test_a_throttled_look_is_put_off_longer_each_time_and_ends_nothing(aws, steps):
    (step,) = await given(steps, 1)
    aws.throttled = 3
    following = asyncio.create_task(end_of(steps, step))
    await looks(aws, 4)
    assert not following.done()
    aws.steps[step]["state"] = "COMPLETED"
    assert await following == "COMPLETED"


async def test_a_step_that_the_cluster_does_not_know_is_lost_and_others_are_not(aws, steps):
    (step,) = await given(steps, 1)
    following = asyncio.create_task(end_of(steps, step))
    with pytest.raises(TerminalEngineError) as raised:
        await end_of(steps, "s-gone")
    assert raised.value.code == "LOST"
    aws.steps[step]["state"] = "COMPLETED"
    assert await following == "COMPLETED"


async def test_many_are_cancelled_by_one_call(aws, steps):
    ids = await given(steps, 20)
    await asyncio.gather(*(steps.cancel("j-1", id_) for id_ in ids))
    assert aws.count("cancel_steps") == 1
    assert aws.arguments("cancel_steps")["StepCancellationOption"] == "SEND_INTERRUPT"
    await steps.cancel("j-1", ids[0], force=True)
    assert aws.arguments("cancel_steps")["StepCancellationOption"] == "TERMINATE_PROCESS"


async def test_a_refused_batch_is_halved_until_what_is_refused_stands_alone(aws, steps):
    aws.full = 3
    results = await asyncio.gather(
        *(steps.add("j-1", {"Name": f"step {number}"}) for number in range(4)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, TerminalAwsError)]
    assert len(refused) == 1
    assert len(aws.steps) == 3
