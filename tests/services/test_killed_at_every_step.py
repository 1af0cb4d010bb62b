"""A worker that is killed at any step of its walk, and one that wakes there again later, loses and repeats nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import TypeVar

import pytest

from app.domain.events import Outbox
from app.domain.status import RunStatus
from app.engines.base import Handle, OutputSink, Poll, Work
from app.engines.registry import EngineRegistry
from app.services import recovery
from app.store.unit_of_work import UnitOfWork
from tests.support.engine import Cluster, FakeEngine
from tests.support.invariants import assert_invariants
from tests.support.workbench import LEASE, PATIENCE, Hand, Workbench
from workers import scheduler as scheduler_module
from workers.scheduler import SchedulerProcess

Result = TypeVar("Result")
GRAPH = {"a": "", "b": "a", "c": "a", "d": "b c"}


class Life:
    """The steps that a worker takes; at the last of them it is killed: it takes no further one, until it is woken."""

    def __init__(self, *, steps: int) -> None:
        self.taken = 0
        self.over = asyncio.Event()
        self._steps = steps
        self._woken = asyncio.Event()

    async def step(self) -> None:
        self.taken += 1
        if self.taken >= self._steps:
            self.over.set()
            await self._woken.wait()

    def wake(self) -> None:
        """As a process that was only frozen."""
        self._woken.set()


class MortalEngine(FakeEngine):
    """A step before and after each of the verbs."""

    def __init__(self, cluster: Cluster, *, life: Life) -> None:
        super().__init__(cluster)
        self._life = life

    async def submit(self, work: Work) -> Handle:
        await self._life.step()
        handle = await super().submit(work)
        await self._life.step()
        return handle

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        await self._life.step()
        poll = await super().poll(handle, wait=wait)
        await self._life.step()
        return poll

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        await self._life.step()
        await super().fetch(handle, sink)
        await self._life.step()


async def mortal_hand(bench: Workbench, life: Life, patch: pytest.MonkeyPatch) -> Hand:
    """A worker with steps before each transaction, between its commit and what is sent then, and after it."""
    hand = await bench.hand(await bench.another_process())
    hand.attempts._engines = EngineRegistry(engines=[MortalEngine(bench.cluster, life=life)])
    database = hand.process.database
    write, deliver = database.write, database._deliver

    async def mortal_write(work: Callable[[UnitOfWork], Awaitable[Result]]) -> Result:
        await life.step()
        result = await write(work)
        await life.step()
        return result

    async def mortal_deliver(outbox: Outbox) -> None:
        await life.step()
        await deliver(outbox)

    patch.setattr(database, "write", mortal_write)
    patch.setattr(database, "_deliver", mortal_deliver)
    return hand


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps often, and takes what waits for lost soon."""
    monkeypatch.setattr(scheduler_module, "SWEEP_INTERVAL", timedelta(milliseconds=20))
    monkeypatch.setattr(recovery, "LOST_AFTER", timedelta(milliseconds=20))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("durable", [False, True], ids=["lost with it", "durable"])
async def test_whatever_the_last_step_of_a_worker_was_its_run_ends_rightly(
    bench: Workbench, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in GRAPH:
        bench.cluster.plan(name, durable=durable, log=(f"{name} speaks",))
    stride = 1 if bench.database.url.get_backend_name() == "sqlite" and not durable else 6  # each kill takes a while
    for steps in count(1, stride):
        life = Life(steps=steps)
        playground, _ = await bench.graph(GRAPH)
        hand = await mortal_hand(bench, life, monkeypatch)
        run = await bench.launch(playground)
        following = asyncio.create_task(bench.events_to_end(run))
        walking = asyncio.create_task(hand.start(run))
        ending = asyncio.create_task(life.over.wait())
        await asyncio.wait({walking, ending}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        ending.cancel()
        await bench.age("worker", "heartbeat_at", LEASE * 2, [hand.id])
        async with bench.worker(), SchedulerProcess(bench.process).running():
            told = await following
            assert (await bench.row(run)).status is RunStatus.SUCCESS, f"killed at step {steps}"
            assert [event.sequence for event in told] == list(range(1, len(told) + 1))
            life.wake()
            await asyncio.wait_for(walking, PATIENCE)
        assert len(hand.held) == 0
        assert not hand.execution._slots._held.total(), "a slot is left held"
        if not life.over.is_set():  # it has gone all its way
            break
    assert steps > 20, "the walk has many steps"
    records = await assert_invariants(bench.database.url, outputs=bench.process.settings.outputs.directory)
    lost = records.tally["lost attempts"]
    assert lost > 0
    assert bench.cluster.attempts_at("a") <= steps + lost
