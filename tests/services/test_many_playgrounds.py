"""Many playgrounds at once: their small runs share transactions, and none waits for another's lock."""

import asyncio

import pytest
from sqlalchemy import event

from app.domain.status import RunStatus
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

PLAYGROUNDS = 60


async def test_small_runs_of_many_playgrounds_share_their_statements(bench: Workbench) -> None:
    playgrounds = [(await bench.graph({"only": ""}))[0] for _ in range(PLAYGROUNDS)]
    runs = [await bench.launch(playground) for playground in playgrounds]
    hand = await bench.hand(await bench.another_process())
    statements: list[str] = []
    writers = hand.process.database.engine.sync_engine
    event.listen(writers, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await asyncio.gather(*(hand.start(run) for run in runs))
    assert {(await bench.row(run)).status for run in runs} == {RunStatus.SUCCESS}
    assert len(statements) < PLAYGROUNDS * 6  # alone, each takes some seventeen


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has one lock for all
async def test_a_playground_that_is_locked_keeps_no_other_waiting(bench: Workbench) -> None:
    gate, locked = asyncio.Event(), asyncio.Event()
    held, _ = await bench.graph({"held": ""})
    free, _ = await bench.graph({"one": "", "two": "one"})

    async def hold(unit: UnitOfWork) -> None:
        await unit.open_ledger(held.id)
        locked.set()
        await gate.wait()

    async with bench.worker(await bench.another_process()):
        waiting = await bench.launch(held)
        holding = asyncio.create_task(bench.database.write(hold))
        await locked.wait()
        assert (await bench.run(free)).status is RunStatus.SUCCESS
        gate.set()
        await holding
        assert (await bench.end_of(waiting)).status is RunStatus.SUCCESS
