"""Live events from outside: in order, without a gap, once, whoever comes late or drops out and comes back."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.client import RUN_EVENTS, Api, Socket, positions

PLAYGROUND_EVENTS = """subscription($id: ID!, $after: String) { playgroundEvents(playgroundId: $id, after: $after) {
  cursor events { cursor status taskRun { name } run { id number } } } }"""
LINKS = 12
SUBSCRIBERS, SOCKETS = 100, 10
PATIENCE = 30  # seconds


async def chain(api: Api, links: int = LINKS) -> str:
    """A playground with tasks one after another."""
    playground, parents = await api.playground("chain"), ()
    for number in range(links):
        parents = (await api.task(playground, f"link {number}", parents=parents),)
    return playground


def of_a_whole_run(events: list[dict[str, Any]], links: int = LINKS) -> bool:
    """From the first to the last, without a gap or a repetition."""
    run = [event["status"] for event in events if event["taskRun"] is None]
    return run == ["PENDING", "RUNNING", "SUCCESS"] and positions(events) == list(range(1, 4 + 3 * links))


async def collect(socket: Socket, run: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async for payload in socket.subscribe(RUN_EVENTS, id=run):
        events += payload["data"]["runEvents"]["events"]
    return events


async def test_who_comes_after_the_end_is_told_everything_in_order_once(api: Api) -> None:
    run = (await api.run_to_end(await chain(api)))["id"]
    late = await api.events(run)
    assert of_a_whole_run(late)
    assert await api.events(run, after=late[-1]["cursor"]) == []
    assert await api.events(run, after=late[4]["cursor"]) == late[5:]


async def test_who_comes_in_the_middle_is_told_everything_in_order_once(api: Api) -> None:
    run = await api.start(await chain(api))
    async with api.socket() as socket, asyncio.timeout(PATIENCE):
        early = socket.subscribe(RUN_EVENTS, id=run)
        events = (await anext(early))["data"]["runEvents"]["events"]
        late = await collect(socket, run)
        async for payload in early:
            events += payload["data"]["runEvents"]["events"]
    assert of_a_whole_run(events)
    assert positions(late) == positions(events)
    assert [event["status"] for event in late] == [event["status"] for event in events]


async def test_who_drops_out_again_and_again_misses_nothing_and_sees_nothing_twice(api: Api) -> None:
    run = await api.start(await chain(api, 40))
    events: list[dict[str, Any]] = []
    drops = 0
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1]["status"] != "SUCCESS" or events[-1]["taskRun"] is not None:
            after = events[-1]["cursor"] if events else None
            async with api.socket() as socket:
                payload = await anext(socket.subscribe(RUN_EVENTS, id=run, after=after))
                events += payload["data"]["runEvents"]["events"]
                socket.raw.transport.abort()  # no close frame, as when the network is gone
                drops += 1
    assert of_a_whole_run(events, 40)
    assert drops > 1


async def test_a_hundred_subscribers_of_one_run_are_told_the_same(api: Api) -> None:
    run = await api.start(await chain(api))
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        sockets = [await stack.enter_async_context(api.socket()) for _ in range(SOCKETS)]
        told = await asyncio.gather(*(collect(sockets[number % SOCKETS], run) for number in range(SUBSCRIBERS)))
    assert of_a_whole_run(told[0])
    assert all(
        [(event["cursor"], event["status"]) for event in events]
        == [(event["cursor"], event["status"]) for event in told[0]]
        for events in told
    )


async def test_a_playgrounds_events_go_on_over_its_runs_and_from_a_cursor(api: Api) -> None:
    playground = await chain(api, 2)
    first = await api.run_to_end(playground)
    async with api.socket() as socket, asyncio.timeout(PATIENCE):
        live = socket.subscribe(PLAYGROUND_EVENTS, id=playground)
        beginning = asyncio.create_task(anext(live))
        runs = []
        while len(runs) < 2 or not beginning.done():
            runs.append((await api.run_to_end(playground))["id"])
        events = await _until_ended(live, runs[-1], (await beginning)["data"]["playgroundEvents"]["events"])
        end = 9 * (len(runs) + 1)  # events of a run with two tasks
        assert positions(events) == list(range(positions(events)[0], end + 1))
        assert positions(events)[0] > 9, "what came before is not told without a cursor"
        start = (await api.events(first["id"]))[0]["cursor"]
        replayed = await _until_ended(socket.subscribe(PLAYGROUND_EVENTS, id=playground, after=start), runs[-1], [])
    assert positions(replayed) == list(range(2, end + 1))
    assert {event["run"]["id"] for event in replayed} == {first["id"], *runs}


async def _until_ended(live: Any, run: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to the events until the run has ended."""
    while not any(e["run"]["id"] == run and e["taskRun"] is None and e["status"] == "SUCCESS" for e in events):
        events += (await anext(live))["data"]["playgroundEvents"]["events"]
    return events


async def test_an_unknown_run_and_a_broken_cursor_are_refused_in_words(api: Api) -> None:
    run = (await api.run_to_end(await chain(api, 1)))["id"]
    async with api.socket() as socket:
        for variables in ({"id": run[:-2]}, {"id": run, "after": "nonsense"}, {"id": "UnVuOjAw"}):
            with pytest.raises(Exception, match="code") as refused:
                await anext(socket.subscribe(RUN_EVENTS, **variables))
            assert "INTERNAL" not in str(refused.value)
            assert "Internal" not in str(refused.value)
