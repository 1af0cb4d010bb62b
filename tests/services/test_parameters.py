"""Parameters and templates in runs: checked at the door, put in at the launch, kept with the run, never lost."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from app.domain.errors import ConflictError, DomainError, ErrorCode, InvalidError, NotFoundError, TooLargeError
from app.domain.parameters import ParameterValue
from app.domain.schedule import Schedule
from app.domain.status import RunStatus, RunTrigger
from app.models import Playground, Run
from app.services import launching
from app.services.schedules import ScheduleService
from app.services.tasks import TaskDraft
from app.store.pages import PageRequest
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

PARAMETERS: Sequence[tuple[str, ParameterValue]] = (("day", "2026-01-05"), ("country", "New York"), ("most", 10))


async def with_parameters(bench: Workbench) -> Playground:
    playground = await bench.playground()
    return await bench.services.playgrounds.update(bench.viewer, playground.id, parameters=PARAMETERS)


async def test_a_run_gives_the_engine_the_text_with_its_values_and_keeps_both(bench: Workbench) -> None:
    playground = await with_parameters(bench)
    template = "{{ day }} {{ country | quote }} {{ most }} {{ run.number }} {{ run.trigger }} {{ playground.name }}"
    await bench.task(playground, "a", query=template)
    await bench.task(playground, "plain", query="SELECT 1")
    async with bench.worker():
        run = await bench.run(playground, parameters=[("most", 20)])
    text = "2026-01-05 'New York' 20 1 AD_HOC work"
    assert sorted(found for found, _ in bench.cluster.submitted) == sorted([text, "SELECT 1"])
    rows = await bench.task_runs(run)
    assert (rows["a"].query, rows["a"].rendered_query) == (template, text)
    assert (rows["plain"].query, rows["plain"].rendered_query) == ("SELECT 1", None)
    assert run.parameters == {"day": "2026-01-05", "country": "New York", "most": 20}
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.parameters == dict(PARAMETERS)


async def test_scheduled_for_is_the_fire_time_or_the_moment_of_the_start(bench: Workbench) -> None:
    playground = await bench.playground()
    await bench.task(playground, "a", query="{{ scheduled_for }}")
    run = await bench.launch(playground)
    (row,) = (await bench.task_runs(run)).values()
    assert row.rendered_query == str(run.created_at.replace(microsecond=0))
    await bench.services.runs.cancel(bench.viewer, run.id)
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="* * * * *"))
    await bench.age("playground", "next_fire_at", timedelta(seconds=1), [playground.id])
    fired = await fire(bench, playground)
    (row,) = (await bench.task_runs(fired)).values()
    assert row.rendered_query == str(fired.scheduled_for)


async def fire(bench: Workbench, playground: Playground) -> Run:
    schedules = ScheduleService(
        database=bench.database, min_interval=timedelta(), lane_of=bench.process.engines.lane_of
    )
    await schedules.tick()
    page = await bench.services.runs.page(playground.id, PageRequest(size=1))
    return page.rows[0]


async def test_a_fire_whose_texts_cannot_be_rendered_stands_in_the_history_with_the_reason(bench: Workbench) -> None:
    playground = await bench.playground()
    task = await bench.task(playground, "a", query="{{ scheduled_for | date }}")
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="* * * * *"))

    async def spoil(unit: UnitOfWork) -> None:  # a text that the door of an older version let in
        await unit.tasks.update(task.id, query="{{ gone }}")

    await bench.database.write(spoil)
    await bench.age("playground", "next_fire_at", timedelta(seconds=1), [playground.id])
    run = await fire(bench, playground)
    assert (run.trigger, run.status) == (RunTrigger.SCHEDULED, RunStatus.CANCELLED)
    assert run.message is not None
    assert run.message.startswith("Skipped. Task «a» could not be run. Line 1, column 4: There is no «gone».")


@pytest.mark.parametrize("query", ["SELECT\n {{ nothing }}", "SELECT\n {{ day"])
async def test_a_text_that_cannot_be_rendered_is_refused_at_the_door(bench: Workbench, query: str) -> None:
    playground = await with_parameters(bench)
    with pytest.raises(InvalidError, match="Line 2, column") as refused:
        await bench.task(playground, "a", query=query)
    assert refused.value.path == ("query",)
    task = await bench.task(playground, "a", query="SELECT {{ day }}")
    with pytest.raises(InvalidError, match="Line 2, column"):
        await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(query=query))


async def test_what_a_text_uses_cannot_be_taken_away(bench: Workbench) -> None:
    playground = await with_parameters(bench)
    await bench.task(playground, "the user", query="SELECT {{ day }} {{ playground.name }}")
    update = bench.services.playgrounds.update
    with pytest.raises(ConflictError, match=r"«the user».*There is no «day»") as refused:
        await update(bench.viewer, playground.id, parameters=[("country", "x")])
    assert refused.value.path == ("parameters",)
    with pytest.raises(ConflictError, match=r"«the user».*quote"):
        await update(bench.viewer, playground.id, parameters=[("day", "it's")])
    with pytest.raises(ConflictError, match=r"«the user».*quote") as refused:
        await update(bench.viewer, playground.id, name="it's")
    assert refused.value.path == ("name",)
    await update(bench.viewer, playground.id, parameters=[("day", "2026-01-06")])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("parameters", "code", "path"),
    [
        ([("nothing", 1)], ErrorCode.NOT_FOUND, ("parameters", "0", "name")),
        ([("most", 1), ("most", 2)], ErrorCode.INVALID, ("parameters", "1", "name")),
        ([("day", "it's")], ErrorCode.INVALID, ("parameters",)),
    ],
)
async def test_a_run_may_not_override_what_there_is_not_nor_by_what_cannot_be(
    bench: Workbench, parameters: list[tuple[str, ParameterValue]], code: ErrorCode, path: tuple[str, ...]
) -> None:
    playground = await with_parameters(bench)
    await bench.task(playground, "a", query="SELECT {{ day }}")
    with pytest.raises(DomainError) as refused:
        await bench.launch(playground, parameters=parameters)
    assert (refused.value.code, refused.value.path) == (code, path)
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.active_run_id is None


async def test_the_texts_of_a_run_are_bounded_together(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    playground = await with_parameters(bench)
    for name in "abc":
        await bench.task(playground, name, query="SELECT {{ day }}")
    monkeypatch.setattr(launching, "MAX_RENDERED", 3 * len("SELECT 2026-01-05") - 1)
    with pytest.raises(TooLargeError):
        await bench.launch(playground)
    monkeypatch.setattr(launching, "MAX_RENDERED", 3 * len("SELECT 2026-01-05"))
    await bench.launch(playground)


async def test_a_strangers_parameters_are_not_changed(bench: Workbench) -> None:
    playground = await with_parameters(bench)
    with pytest.raises(NotFoundError):
        await bench.services.playgrounds.update(await bench.person(), playground.id, parameters=())
