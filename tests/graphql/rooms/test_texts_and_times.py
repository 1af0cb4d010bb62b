"""Values in texts, attempts, resumed runs and backfills, as a client of the API sees them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from app.engines.base import TransientEngineError
from tests.graphql.rooms.conftest import Site
from workers.scheduler import SchedulerProcess

CREATE = """mutation($i: CreatePlaygroundInput!) { createPlayground(input: $i) {
  playground { id parameters { name value } } errors { code message path } } }"""
UPDATE = """mutation($i: UpdatePlaygroundInput!) { updatePlayground(input: $i) {
  playground { id parameters { name value } } errors { code message path } } }"""
TASK = """mutation($i: CreateTaskInput!) { createTask(input: $i) {
  task { id fields { columns { name expression } complete problem } } errors { code message path } } }"""
RUN = """mutation($i: RunPlaygroundInput!) { runPlayground(input: $i) { run { id } errors { code message path } } }"""
RESUME = "mutation($i: ResumeRunInput!) { resumeRun(input: $i) { run { id } errors { code message path } } }"
SEEN = """query($id: ID!) { run(id: $id) { status trigger number scheduledFor parameters { name value }
  resumedFrom { number } backfill { id } taskRuns { name query renderedQuery carriedOver status
    output { location preview { rows } }
    attempts { number status startedAt endedAt durationMs worker engineHandle outputLocation
      error { code message retriable } } } } }"""
PARAMETERS = [{"name": "day", "value": "2026-01-05"}, {"name": "most", "value": 10}, {"name": "all", "value": True}]


async def playground_of(site: Site, query: str, *, type: str = "MYSQL", **values: Any) -> str:
    payload = await site.owner.value(CREATE, i={"name": "texts", "parameters": PARAMETERS, **values})
    assert payload["errors"] == []
    playground_id: str = payload["playground"]["id"]
    task = {"playgroundId": playground_id, "name": "a", "type": type, "query": query, "maxRetries": 1}
    made = await site.owner.value(TASK, i={**task, "retryDelayMs": 0})
    assert made["errors"] == []
    return playground_id


async def ended(site: Site, run_id: str) -> Any:
    async with asyncio.timeout(20):
        while (run := await site.owner.value(SEEN, id=run_id))["status"] in {"PENDING", "RUNNING"}:  # noqa: ASYNC110 - as a client
            await asyncio.sleep(0.02)
    return run


async def test_parameters_are_kept_with_their_types_and_may_be_other_for_one_run(site: Site) -> None:
    playground_id = await playground_of(site, "SELECT {{ day | quote }} AS day, {{ most }} AS n, {{ all }} AS b")
    payload = await site.owner.value(
        RUN, i={"playgroundId": playground_id, "parameters": [{"name": "most", "value": 2.5}]}
    )
    async with site.bench.worker():
        run = await ended(site, payload["run"]["id"])
    (task_run,) = run["taskRuns"]
    assert task_run["renderedQuery"] == "SELECT '2026-01-05' AS day, 2.5 AS n, true AS b"
    assert task_run["query"].startswith("SELECT {{ day")
    assert run["parameters"] == [PARAMETERS[0], {"name": "most", "value": 2.5}, PARAMETERS[2]]
    page = "query($id: ID!) { playground(id: $id) { parameters { name value } } }"
    assert (await site.owner.value(page, id=playground_id))["parameters"] == PARAMETERS
    for odd in ([1], {"a": 1}, None):
        change = {"playgroundId": playground_id, "parameters": [{"name": "most", "value": odd}]}
        answer = await site.owner.ask(UPDATE, i=change)
        assert answer["errors"][0]["extensions"]["code"] != "INTERNAL"
    refused = await site.owner.value(UPDATE, i={"playgroundId": playground_id, "parameters": None})
    assert refused["errors"][0]["code"] == "CONFLICT"
    assert "«a»" in refused["errors"][0]["message"]


async def test_the_fields_of_a_template_are_those_of_its_text_with_values(site: Site) -> None:
    payload = await site.owner.value(CREATE, i={"name": "fields", "parameters": [{"name": "column", "value": "price"}]})
    task = {"playgroundId": payload["playground"]["id"], "name": "a", "type": "HIVE"}
    made = await site.owner.value(TASK, i={**task, "query": "SELECT {{ column }}, {{ run.number }} AS n FROM t"})
    assert [field["name"] for field in made["task"]["fields"]["columns"]] == ["price", "n"]
    fields = "query($q: String!) { queryFields(type: HIVE, query: $q) { columns { name } complete problem } }"
    found = await site.owner.value(fields, q="SELECT {{ whatever }} AS x, {{ scheduled_for | date | quote }} AS y")
    assert [field["name"] for field in found["columns"]] == ["x", "y"]
    found = await site.owner.value(fields, q="SELECT {{ whatever")
    assert not found["complete"]
    assert found["problem"].startswith("Line 1, column 8: ")


async def test_every_attempt_is_told_and_a_carried_output_has_none(site: Site) -> None:
    playground_id = await playground_of(site, "first")
    task = {"playgroundId": playground_id, "name": "b", "type": "MYSQL", "query": "second"}
    assert (await site.owner.value(TASK, i=task))["errors"] == []
    lost = TransientEngineError("the server went away", code="CONNECTION_LOST")
    site.bench.cluster.plan("first", failures=[lost])
    site.bench.cluster.plan("second", failures=[TransientEngineError("away", code="CONNECTION_LOST")])
    async with site.bench.worker():
        payload = await site.owner.value(RUN, i={"playgroundId": playground_id})
        run = await ended(site, payload["run"]["id"])
        resumed = await site.owner.value(RESUME, i={"runId": payload["run"]["id"]})
        assert resumed["errors"] == []
        again = await ended(site, resumed["run"]["id"])
    one, two = run["taskRuns"][0]["attempts"]
    assert (one["number"], one["status"], one["outputLocation"]) == (1, "FAILED", None)
    assert one["error"] == {"code": "CONNECTION_LOST", "message": "the server went away", "retriable": True}
    assert (two["number"], two["status"], two["error"]) == (2, "SUCCESS", None)
    assert two["outputLocation"] == run["taskRuns"][0]["output"]["location"]
    assert one["worker"] == two["worker"]
    assert one["engineHandle"] != two["engineHandle"]
    assert two["durationMs"] >= 0
    assert (again["trigger"], again["status"], again["resumedFrom"]) == ("RESUME", "SUCCESS", {"number": 1})
    carried, ran = again["taskRuns"]
    assert (carried["carriedOver"], carried["attempts"]) == (True, [])
    assert carried["output"] == run["taskRuns"][0]["output"]
    assert (ran["carriedOver"], len(ran["attempts"])) == (False, 1)


async def test_an_attempt_that_is_on_is_told_as_running(site: Site) -> None:
    playground_id = await playground_of(site, "long")
    site.bench.cluster.plan("long", until=(over := asyncio.Event()))
    async with site.bench.worker():
        payload = await site.owner.value(RUN, i={"playgroundId": playground_id})
        await site.bench.cluster.until_submitted("long")
        seen = await site.owner.value(SEEN, id=payload["run"]["id"])
        (attempt,) = seen["taskRuns"][0]["attempts"]
        assert (attempt["number"], attempt["status"], attempt["endedAt"]) == (1, "RUNNING", None)
        over.set()
        await ended(site, payload["run"]["id"])


START = """mutation($i: StartBackfillInput!) { startBackfill(input: $i) {
  backfill { id status } errors { code message path } } }"""
BACKFILL = """query($id: ID!) { node(id: $id) { ... on Backfill { status from until fireCount leftOutCount
  maxConcurrentRuns rerun createdAt endedAt cron timezone cancelRequested playground { id }
  counts { waiting running success partialSuccess failed cancelled }
  runs(first: 1) { nodes { scheduledFor trigger backfill { id } } pageInfo { hasNextPage } } } } }"""
PREVIEW = """query($id: ID!, $from: DateTime!, $until: DateTime!) { playground(id: $id) { status
  backfillPreview(from: $from, until: $until) { fireCount leftOutCount first last }
  backfills { nodes { id } } } }"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_backfill_is_shown_before_it_is_started_while_it_runs_and_after(site: Site) -> None:
    schedule = {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "paused": True}
    playground_id = await playground_of(
        site, "a {{ scheduled_for | in_timezone('Europe/Berlin') | date }}", schedule=schedule
    )
    span = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-03T12:00:00Z"}
    seen = await site.owner.value(PREVIEW, id=playground_id, **span)
    first, last = "2026-01-01T05:00:00.000Z", "2026-01-03T05:00:00.000Z"
    assert seen["backfillPreview"] == {"fireCount": 3, "leftOutCount": 0, "first": first, "last": last}
    assert seen["status"] == "IDLE"
    payload = await site.owner.value(START, i={"playgroundId": playground_id, **span})
    assert payload["errors"] == []
    backfill_id = payload["backfill"]["id"]
    seen = await site.owner.value(PREVIEW, id=playground_id, **span)
    assert seen["status"] == "RUNNING"
    assert [node["id"] for node in seen["backfills"]["nodes"]] == [backfill_id]
    shown = await site.owner.value(BACKFILL, id=backfill_id)
    assert shown["counts"] == {
        "waiting": 2, "running": 1, "success": 0, "partialSuccess": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    async with site.bench.worker(), SchedulerProcess(site.bench.process).running(), asyncio.timeout(20):
        while (shown := await site.owner.value(BACKFILL, id=backfill_id))["status"] == "RUNNING":  # noqa: ASYNC110 - as a client
            await asyncio.sleep(0.02)
    assert (shown["status"], shown["counts"]["success"], shown["fireCount"]) == ("SUCCESS", 3, 3)
    assert (shown["cron"], shown["timezone"], shown["playground"]["id"]) == (
        "0 6 * * *",
        "Europe/Berlin",
        playground_id,
    )
    newest = {"scheduledFor": last, "trigger": "BACKFILL", "backfill": {"id": backfill_id}}
    assert shown["runs"] == {"nodes": [newest], "pageInfo": {"hasNextPage": True}}
    assert datetime.fromisoformat(shown["endedAt"]) <= datetime.now(UTC)
    assert [text for text, _ in site.bench.cluster.submitted] == [f"a 2026-01-0{day}" for day in (1, 2, 3)]
    seen = await site.owner.value(PREVIEW, id=playground_id, **span)
    assert seen["backfillPreview"] == {"fireCount": 0, "leftOutCount": 3, "first": None, "last": None}
    assert await site.stranger.value(BACKFILL, id=backfill_id) is None
