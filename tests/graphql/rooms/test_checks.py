"""Checks in the API: set with a task, refused at their place, kept by the run and shown with their results."""

from typing import Any

import pytest

from app.graphql.ids import to_global
from tests.graphql.rooms.conftest import Site

SET = """mutation($input: SetTaskChecksInput!) { setTaskChecks(input: $input) {
  task { checks { kind column arguments severity } } errors { code message path } } }"""
RESULTS = """query($id: ID!) { run(id: $id) { taskRuns { status error { code } output { rowCount }
  checkResults { passed failingRowCount message check { kind column arguments severity } } } } }"""


async def set_checks(site: Site, task_id: Any, *checks: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = await site.owner.value(SET, input={"taskId": task_id, "checks": list(checks)})
    return value


async def test_checks_are_set_replaced_and_taken_away(site: Site) -> None:
    _, tasks = await site.bench.graph({"a": ""})
    task_id = to_global("Task", tasks["a"].id)
    given = {"kind": "RANGE", "column": "one", "arguments": {"min": 0, "max": 1.5}, "severity": "WARN"}
    answer = await set_checks(site, task_id, given, {"kind": "NOT_NULL", "column": "one"})
    assert answer["task"]["checks"] == [
        given,
        {"kind": "NOT_NULL", "column": "one", "arguments": {}, "severity": "ERROR"},
    ]
    assert (await set_checks(site, task_id))["task"]["checks"] == []


async def test_arguments_may_stand_in_the_document_itself(site: Site) -> None:
    _, tasks = await site.bench.graph({"a": ""})
    task_id = to_global("Task", tasks["a"].id)
    answer = await site.owner.value(
        f"""mutation {{ setTaskChecks(input: {{taskId: "{task_id}", checks: [
          {{kind: ACCEPTED_VALUES, column: "one", arguments: {{values: ["a", 1, true]}}}}]}}) {{
          task {{ checks {{ arguments }} }} errors {{ path }} }} }}"""
    )
    assert answer == {"task": {"checks": [{"arguments": {"values": ["a", 1, True]}}]}, "errors": []}


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"kind": "RANGE", "column": "one", "arguments": {"min": 2, "max": 1}}, "checks.1.arguments.min"),
        ({"kind": "RANGE", "column": "one", "arguments": [1, 2]}, "checks.1.arguments"),
        ({"kind": "MATCHES", "column": "one", "arguments": {"pattern": "("}}, "checks.1.arguments.pattern"),
        ({"kind": "SQL", "arguments": {"query": "DELETE FROM output"}}, "checks.1.arguments.query"),
        ({"kind": "UNIQUE"}, "checks.1.column"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_makes_no_sense_is_refused_at_its_place(site: Site, bad: dict[str, Any], path: str) -> None:
    _, tasks = await site.bench.graph({"a": ""})
    answer = await set_checks(site, to_global("Task", tasks["a"].id), {"kind": "NOT_NULL", "column": "one"}, bad)
    assert answer["task"] is None
    ((code, found),) = [(error["code"], ".".join(error["path"])) for error in answer["errors"]]
    assert (code, found) == ("INVALID", path)


async def test_another_persons_task_is_not_found(site: Site) -> None:
    _, tasks = await site.bench.graph({"a": ""})
    given = {"taskId": to_global("Task", tasks["a"].id), "checks": []}
    answer = await site.stranger.value(SET, input=given)
    assert [(error["code"], error["path"]) for error in answer["errors"]] == [("NOT_FOUND", ["taskId"])]


async def test_a_run_shows_what_its_outputs_came_to(site: Site) -> None:
    bench = site.bench
    playground, tasks = await bench.graph({"a": ""})
    bench.cluster.plan("a", rows=[(1,), (None,)])
    task_id = to_global("Task", tasks["a"].id)
    warning = {"kind": "ROW_COUNT", "column": None, "arguments": {"max": 1}, "severity": "WARN"}
    error = {"kind": "NOT_NULL", "column": "one", "arguments": {}, "severity": "ERROR"}
    await set_checks(site, task_id, warning, error)
    run = await bench.launch(playground)
    waiting = await site.owner.value(RESULTS, id=to_global("Run", run.id))
    assert waiting["taskRuns"][0]["checkResults"] == []
    async with bench.worker():
        await bench.end_of(run)
    await set_checks(site, task_id)
    (task_run,) = (await site.owner.value(RESULTS, id=to_global("Run", run.id)))["taskRuns"]
    assert (task_run["status"], task_run["error"]["code"]) == ("FAILED", "CHECK_FAILED")
    assert task_run["output"] == {"rowCount": 2}
    assert task_run["checkResults"] == [
        {
            "passed": False,
            "failingRowCount": 0,
            "message": "There are 2 rows; at most 1 are wanted.",
            "check": warning,
        },
        {
            "passed": False,
            "failingRowCount": 1,
            "message": "1 of 2 rows have no value in «one».",
            "check": error,
        },
    ]
