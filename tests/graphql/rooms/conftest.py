"""The whole application over a workbench, asked in process: an owner's world, a stranger, and nobody."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.schedule import Schedule
from app.graphql.ids import to_global
from app.main import create_app
from app.models import Backfill, Playground, Reconciliation, ReconciliationRun, Run, Task, TaskRun, Udf
from app.services.backfills import Range
from app.services.reconciliations import Comparison
from tests.support.workbench import Workbench

Answer = dict[str, Any]


class Caller:
    """Somebody who asks, with a token or without."""

    def __init__(self, http: httpx.AsyncClient, token: str | None) -> None:
        self.http = http
        self.token = token

    async def ask(self, query: str, **variables: Any) -> Answer:
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        response = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        answer: Answer = response.json()
        for error in answer.get("errors", ()):
            assert error["extensions"]["code"] != "INTERNAL", f"a fault of the server's: {answer}"
        return answer

    async def value(self, query: str, **variables: Any) -> Any:
        """The root field's value of an answer without errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer
        (value,) = answer["data"].values()
        return value


@dataclass(frozen=True, kw_only=True)
class Site:
    bench: Workbench
    owner: Caller
    stranger: Caller
    nobody: Caller


@pytest.fixture
async def site(bench: Workbench) -> AsyncIterator[Site]:
    application = create_app(bench.process)
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
        accounts = bench.services.accounts
        stranger = await bench.person()
        tokens = [(await accounts.open_session(viewer.user_id)).access_token for viewer in (bench.viewer, stranger)]
        yield Site(
            bench=bench,
            owner=Caller(http, tokens[0]),
            stranger=Caller(http, tokens[1]),
            nobody=Caller(http, None),
        )
    await application.let_go()


@dataclass(frozen=True, kw_only=True)
class World:
    """One of everything that the owner may have."""

    playground: Playground
    left: Task
    right: Task
    run: Run
    left_run: TaskRun
    right_run: TaskRun
    pair: Reconciliation
    pair_run: ReconciliationRun
    history: Playground  # with a schedule, and a backfill that was cancelled
    backfill: Backfill
    udf: Udf

    @property
    def ids(self) -> dict[str, str]:
        """Global ids, by the names that the operations' variables have."""
        return {
            "playground": to_global("Playground", self.playground.id),
            "left": to_global("Task", self.left.id),
            "right": to_global("Task", self.right.id),
            "run": to_global("Run", self.run.id),
            "leftRun": to_global("TaskRun", self.left_run.id),
            "rightRun": to_global("TaskRun", self.right_run.id),
            "pair": to_global("Reconciliation", self.pair.id),
            "pairRun": to_global("ReconciliationRun", self.pair_run.id),
            "history": to_global("Playground", self.history.id),
            "backfill": to_global("Backfill", self.backfill.id),
            "udf": to_global("Udf", self.udf.id),
        }


async def make_world(bench: Workbench) -> World:
    playground, tasks = await bench.graph({"left": "", "right": "left"})
    async with bench.worker():
        run = await bench.run(playground)
    rows = await bench.task_runs(run)
    pairs = bench.services.reconciliations
    pair = await pairs.create(
        bench.viewer,
        playground.id,
        left_task_id=tasks["left"].id,
        right_task_id=tasks["right"].id,
        mapping=[ColumnMapping(left="one", right="one")],
        options=ReconciliationOptions(),
    )
    history, backfill = await _cancelled_backfill(bench)
    return World(
        history=history,
        backfill=backfill,
        playground=playground,
        left=tasks["left"],
        right=tasks["right"],
        run=run,
        left_run=rows["left"],
        right_run=rows["right"],
        pair=pair,
        pair_run=await pairs.launch(bench.viewer, pair.id, Comparison()),
        udf=await bench.udf("lower"),
    )


async def _cancelled_backfill(bench: Workbench) -> tuple[Playground, Backfill]:
    playground, _ = await bench.graph({"day": ""})
    schedule = Schedule(cron="@daily", paused=True)
    playground = await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=schedule)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    span = Range(start=first, end=first + timedelta(days=1))
    backfill = await bench.services.backfills.start(bench.viewer, playground.id, span)
    return playground, await bench.services.backfills.cancel(bench.viewer, backfill.id)


@pytest.fixture
async def world(site: Site) -> World:
    return await make_world(site.bench)
