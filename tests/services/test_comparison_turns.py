"""Whose comparison is next, and what becomes of one that its workers die over."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from app.domain.errors import IllegalStateError
from app.domain.identity import Viewer, new_id
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.status import ReconciliationStatus
from app.models import Reconciliation, ReconciliationEvent, ReconciliationRun
from app.services import comparison
from app.services.comparison_claims import MAX_LOSSES, ComparisonClaims
from app.services.comparison_request import ComparisonRequest
from app.services.reconciliations import Comparison
from tests.services.compared import ended, row_of
from tests.support.workbench import Workbench


async def pair_of_another(bench: Workbench, viewer: Viewer) -> Reconciliation:
    """With outputs of its own."""
    owner, bench.viewer = bench.viewer, viewer
    try:
        playground, tasks = await bench.graph({"a": "", "b": ""})
        async with bench.worker():
            await bench.run(playground)
        return await bench.services.reconciliations.create(
            viewer, playground.id, left_task_id=tasks["a"].id, right_task_id=tasks["b"].id,
            mapping=[ColumnMapping(left="one", right="one")], options=ReconciliationOptions(),
        )  # fmt: skip
    finally:
        bench.viewer = owner


async def waiting(bench: Workbench, viewer: Viewer, pair: Reconciliation, count: int) -> list[UUID]:
    launch = bench.services.reconciliations.launch
    return [(await launch(viewer, pair.id, Comparison())).id for _ in range(count)]


async def claimed(bench: Workbench, claims: ComparisonClaims, run_id: UUID | None = None) -> ReconciliationRun | None:
    return await bench.database.write(lambda unit: claims.claim(unit, run_id or new_id()))


async def end(bench: Workbench, run: ReconciliationRun) -> None:
    async def work(unit) -> None:
        row = await unit.reconciliations.run(run.id, lock=True)
        await unit.reconciliations.transition(row, ReconciliationStatus.FAILED, at=row.created_at)

    await bench.database.write(work)


async def test_people_take_turns_whatever_the_number_of_their_comparisons(bench: Workbench) -> None:
    other = await bench.person()
    many, few = await pair_of_another(bench, bench.viewer), await pair_of_another(bench, other)
    first = await waiting(bench, bench.viewer, many, 4)
    second = await waiting(bench, other, few, 2)
    claims, order = ComparisonClaims(worker_id=new_id()), []
    while run := await claimed(bench, claims):
        order.append(run.id)
        await end(bench, run)
    assert order == [first[0], second[0], first[1], second[1], first[2], first[3]]


async def test_who_has_one_at_work_waits_for_who_has_none(bench: Workbench) -> None:
    other = await bench.person()
    many, few = await pair_of_another(bench, bench.viewer), await pair_of_another(bench, other)
    first = await waiting(bench, bench.viewer, many, 2)
    second = await waiting(bench, other, few, 1)
    order = []
    for _ in range(4):  # each time another worker, which knows nothing of the others
        run = await claimed(bench, ComparisonClaims(worker_id=new_id()))
        order.append(None if run is None else run.id)
    assert order == [first[0], second[0], first[1], None]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_kills_its_workers_ends_with_what_to_do(bench: Workbench) -> None:
    (run_id,) = await waiting(bench, bench.viewer, await pair_of_another(bench, bench.viewer), 1)
    for losses in range(MAX_LOSSES):
        dead = ComparisonClaims(worker_id=new_id())
        assert await claimed(bench, dead, run_id) is not None
        assert (await row_of(bench, run_id)).losses == losses
    assert await claimed(bench, ComparisonClaims(worker_id=new_id()), run_id) is None
    row = await row_of(bench, run_id)
    assert (row.status, row.error_code) == (ReconciliationStatus.FAILED, "LOST")
    assert "memory_limit" in (row.error_message or "")
    events = await bench.rows(
        select(ReconciliationEvent.sequence, ReconciliationEvent.status)
        .where(ReconciliationEvent.reconciliation_run_id == run_id)
        .order_by(ReconciliationEvent.sequence)
    )
    assert [sequence for sequence, _ in events] == list(range(1, len(events) + 1))
    assert events[-1].status is ReconciliationStatus.FAILED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_a_living_worker_holds_is_left_to_it(bench: Workbench) -> None:
    (run_id,) = await waiting(bench, bench.viewer, await pair_of_another(bench, bench.viewer), 1)
    hand = await bench.hand()
    assert await claimed(bench, ComparisonClaims(worker_id=hand.id), run_id) is not None
    assert await claimed(bench, ComparisonClaims(worker_id=new_id()), run_id) is None
    assert (await row_of(bench, run_id)).worker_id == hand.id
    await bench.age("reconciliation_run", "started_at", timedelta(days=1), [run_id])
    assert (await bench.sweep()).jobs == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_waits_is_cancelled_at_once_and_never_begun(bench: Workbench) -> None:
    (run_id,) = await waiting(bench, bench.viewer, await pair_of_another(bench, bench.viewer), 1)
    cancelled = await bench.services.reconciliations.cancel(bench.viewer, run_id)
    assert (cancelled.status, cancelled.started_at) == (ReconciliationStatus.CANCELLED, None)
    with pytest.raises(IllegalStateError, match="has ended already"):
        await bench.services.reconciliations.cancel(bench.viewer, run_id)
    assert await claimed(bench, ComparisonClaims(worker_id=new_id()), run_id) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_key_of_the_settings_reaches_the_comparing_process(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[ComparisonRequest] = []

    async def compare_apart(request: ComparisonRequest, **_: object) -> dict[str, object]:
        asked.append(request)
        return {"error": {"code": "ENOUGH", "message": "The test has seen it."}}

    monkeypatch.setattr(comparison, "compare_apart", compare_apart)
    (run_id,) = await waiting(bench, bench.viewer, await pair_of_another(bench, bench.viewer), 1)
    keys = {
        "exact_match_threshold": 7, "false_positive_rate": 0.25, "estimated_rows": 9,
        "memory_limit": 2**30, "spill_directory": tmp_path / "elsewhere",
    }  # fmt: skip
    async with bench.worker(reconciliations=keys):
        assert (await ended(bench, run_id)).error_code == "ENOUGH"
    (request,) = asked
    assert request.thresholds.exact_match_bytes == 7
    assert (request.thresholds.false_positive_rate, request.thresholds.estimated_rows) == (0.25, 9)
    assert (request.memory_limit_bytes, request.spill_dir) == (2**30, str(tmp_path / "elsewhere"))
    assert ComparisonRequest.from_line(request.to_line()) == request
