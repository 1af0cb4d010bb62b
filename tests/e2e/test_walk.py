"""The whole walk by a GraphQL client that is not ours: draw a DAG, run it, watch it, reconcile, download."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession, ReconnectingAsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport

from tests.e2e.conftest import Deployment, NewApi

CREATE_PLAYGROUND = """mutation($input: CreatePlaygroundInput!) {
  createPlayground(input: $input) { playground { id status } errors { code message path } } }"""
CREATE_TASK = """mutation($input: CreateTaskInput!) {
  createTask(input: $input) { task { id parents { name } } errors { code message path } } }"""
SET_PARENTS = """mutation($input: SetTaskParentsInput!) {
  setTaskParents(input: $input) { task { id } errors { code message path } } }"""
RUN_PLAYGROUND = """mutation($input: RunPlaygroundInput!) {
  runPlayground(input: $input) { run { id number status } errors { code message path } } }"""
RUN_EVENTS = """subscription($id: ID!) { runEvents(runId: $id) {
  cursor events { cursor at status message taskRun { name status } run { status } } } }"""
HISTORY = """query($id: ID!) { playground(id: $id) {
  status dependencies { parent { name } child { name } }
  lastRun { id }
  runs(first: 10) { nodes { id number trigger status durationMs
    counts { total success failed upstreamFailed skipped cancelled }
    taskRuns { id name type status attempt error { message } output {
      rowCount sizeBytes delimiter location columns { name type } downloadUrl
      preview(limit: 3) { columns rows truncated } } } } pageInfo { hasNextPage } } } }"""
TASK_LOG = "subscription($id: ID!) { taskLog(taskRunId: $id) { cursor lines { at stream text attempt } } }"
CREATE_RECONCILIATION = """mutation($input: CreateReconciliationInput!) {
  createReconciliation(input: $input) { reconciliation { id mapping { left key } } errors { code message path } } }"""
RUN_RECONCILIATION = """mutation($input: RunReconciliationInput!) {
  runReconciliation(input: $input) { reconciliationRun { id status } errors { code message path } } }"""
RECONCILIATION_EVENTS = """subscription($id: ID!) { reconciliationEvents(reconciliationRunId: $id) {
  cursor events { cursor status progress message } } }"""
RECONCILIATION_RUN = """query($id: ID!) { reconciliationRun(id: $id) {
  status method progress error { message } leftTaskRun { name } rightTaskRun { name }
  result { matched exact leftRowCount rightRowCount commonRowCount changedRowCount leftOnlyRowCount rightOnlyRowCount
    columns { left right differingRowCount maxAbsoluteDifference } warnings differencesUrl reportUrl
    changed: samples(kind: CHANGED) { key left right changedColumns }
    leftOnly: samples(kind: LEFT_ONLY) { key left right }
    rightOnly: samples(kind: RIGHT_ONLY) { key left right } } } }"""

ORDERS = """
CREATE TABLE orders AS
SELECT 1 AS id, 'ada' AS buyer, 10.5 AS amount
UNION ALL SELECT 2, '', 20.0
UNION ALL SELECT 3, NULL, 30.25
UNION ALL SELECT 4, 'bob "the buyer", senior', 40.0;
SELECT id, buyer, amount FROM orders ORDER BY id
"""
BY_PRESTO = "SELECT id, coalesce(buyer, 'nobody') AS buyer, amount FROM orders ORDER BY id"
BY_SPARK = """
SELECT id, coalesce(buyer, 'nobody') AS buyer, IF(id = 4, amount + 1.5, amount) AS amount FROM orders WHERE id <> 3
UNION ALL SELECT 9, 'eve', 1.0
ORDER BY id
"""
CURRENCIES = "SELECT 'euro' AS currency, 2 AS digits, CAST(NULL AS CHAR) AS remark, '' AS empty, '100 % «ñ» 🜚' AS text"
PROFILE = """
orders = spark.table("orders")
print(f"profiling {orders.count()} orders")
result = orders.groupBy().count()
"""
TASKS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("orders", "HIVE", ORDERS, ()),
    ("currencies", "MYSQL", CURRENCIES, ()),
    ("by presto", "PRESTO", BY_PRESTO, ("orders",)),
    ("by spark", "SPARK_SQL", BY_SPARK, ("orders",)),
    ("profile", "PYSPARK", PROFILE, ("orders", "currencies")),
    ("report", "HIVE", "SELECT count(*) AS orders FROM orders", ("by presto", "by spark", "profile")),
)


@dataclass(frozen=True, kw_only=True)
class Foreigner:
    """gql, with a session for requests over HTTP, checked against the schema that it asked for, and one on a socket."""

    http: AsyncClientSession | ReconnectingAsyncClientSession
    socket: AsyncClientSession | ReconnectingAsyncClientSession

    async def ask(self, query: str, /, **variables: Any) -> Any:
        """The one root field's value."""
        (value,) = (await self.http.execute(GraphQLRequest(query, variable_values=variables))).values()
        return value

    async def change(self, query: str, /, **input_: Any) -> Any:
        """The changed object of a mutation that was not refused."""
        payload = await self.ask(query, input=input_)
        assert payload.pop("errors") == []
        (value,) = payload.values()
        return value

    async def follow(self, query: str, /, **variables: Any) -> list[Any]:
        """The batches of a subscription, until the server ends it."""
        request = GraphQLRequest(query, variable_values=variables)
        return [batch for data in [item async for item in self.socket.subscribe(request)] for batch in data.values()]


@asynccontextmanager
async def foreigner(base: str, token: str) -> AsyncIterator[Foreigner]:
    authorization = {"Authorization": f"Bearer {token}"}
    http = AIOHTTPTransport(url=f"{base}/graphql", headers=authorization)
    socket = WebsocketsTransport(
        url=f"{base.replace('http', 'ws', 1)}/graphql",
        init_payload=authorization,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    asking = Client(transport=http, fetch_schema_from_transport=True, execute_timeout=60)
    async with asking as requests, Client(transport=socket, execute_timeout=60) as pushes:
        assert "runEvents" in asking.schema.subscription_type.fields
        assert socket.subprotocol == "graphql-transport-ws"
        yield Foreigner(http=requests, socket=pushes)


async def test_the_main_job_from_a_drawing_to_a_reconciliation(
    deployment: Deployment, new_api: NewApi, name: Callable[[], str]
) -> None:
    token = (await new_api(deployment).sign_up(name()))["accessToken"]
    async with foreigner(deployment.base, token) as client, httpx.AsyncClient(base_url=deployment.base) as browser:
        playground, tasks = await draw(client)
        await a_cycle_is_refused_and_named(client, tasks)
        run = await client.change(RUN_PLAYGROUND, playgroundId=playground)
        the_events_tell_the_graph(await client.follow(RUN_EVENTS, id=run["id"]))
        task_runs = await the_history_holds_the_run(client, playground, run["id"])
        previews_tell_null_from_empty(task_runs)
        await the_logs_tell_where_tasks_ran(client, task_runs, real_mysql=deployment.real_mysql)
        await an_output_downloads_in_whole_and_in_part(browser, task_runs["orders"]["output"])
        await two_outputs_are_reconciled(client, browser, playground, tasks)


async def draw(client: Foreigner) -> tuple[str, dict[str, str]]:
    """The playground's id, and its tasks' by name."""
    playground = await client.change(CREATE_PLAYGROUND, name="orders")
    assert playground["status"] == "IDLE"
    ids: dict[str, str] = {}
    for name, type_, query, parents in TASKS:
        parent_ids = [ids[parent] for parent in parents]
        values = {"playgroundId": playground["id"], "name": name, "type": type_, "query": query}
        task = await client.change(CREATE_TASK, **values, parentIds=parent_ids)
        assert {parent["name"] for parent in task["parents"]} == set(parents)
        ids[name] = task["id"]
    return playground["id"], ids


async def a_cycle_is_refused_and_named(client: Foreigner, tasks: dict[str, str]) -> None:
    payload = await client.ask(SET_PARENTS, input={"taskId": tasks["orders"], "parentIds": [tasks["report"]]})
    (error,) = payload["errors"]
    assert (payload["task"], error["code"], error["path"][0]) == (None, "CYCLE", "parentIds")
    assert "orders" in error["message"]
    assert "report" in error["message"]


def the_events_tell_the_graph(batches: list[Any]) -> None:
    events = [event for batch in batches for event in batch["events"]]
    assert all(batch["cursor"] == batch["events"][-1]["cursor"] for batch in batches)
    assert len({event["cursor"] for event in events}) == len(events)
    told = [(event["taskRun"] and event["taskRun"]["name"], event["status"]) for event in events]
    assert [status for name, status in told if name is None] == ["PENDING", "RUNNING", "SUCCESS"]
    assert told[-1] == (None, "SUCCESS")
    for name, _, _, parents in TASKS:
        assert [status for who, status in told if who == name] == ["QUEUED", "RUNNING", "SUCCESS"], name
        for parent in parents:
            assert told.index((parent, "SUCCESS")) < told.index((name, "QUEUED"))


async def the_history_holds_the_run(client: Foreigner, playground: str, run: str) -> dict[str, Any]:
    """The task runs by name."""
    found = await client.ask(HISTORY, id=playground)
    assert (found["status"], found["lastRun"]) == ("IDLE", {"id": run})
    edges = {(edge["parent"]["name"], edge["child"]["name"]) for edge in found["dependencies"]}
    assert edges == {(parent, name) for name, _, _, parents in TASKS for parent in parents}
    (entry,) = found["runs"]["nodes"]
    assert (entry["id"], entry["number"], entry["trigger"], entry["status"]) == (run, 1, "AD_HOC", "SUCCESS")
    assert entry["counts"]["success"] == entry["counts"]["total"] == len(TASKS)
    assert entry["durationMs"] > 0
    assert all(task_run["attempt"] == 1 for task_run in entry["taskRuns"])
    return {task_run["name"]: task_run for task_run in entry["taskRuns"]}


def previews_tell_null_from_empty(task_runs: dict[str, Any]) -> None:
    orders = task_runs["orders"]["output"]["preview"]
    assert orders["columns"] == ["id", "buyer", "amount"]
    assert [row[:2] for row in orders["rows"]] == [["1", "ada"], ["2", ""], ["3", None]]
    assert orders["truncated"]
    currencies = task_runs["currencies"]["output"]["preview"]
    assert currencies["rows"] == [["euro", "2", None, "", "100 % «ñ» 🜚"]]
    assert not currencies["truncated"]
    assert task_runs["profile"]["output"]["preview"]["rows"] == [["4"]]
    assert task_runs["report"]["output"]["preview"]["rows"] == [["4"]]


async def the_logs_tell_where_tasks_ran(client: Foreigner, task_runs: dict[str, Any], *, real_mysql: bool) -> None:
    lines: dict[str, list[str]] = {}
    for name in ("currencies", "profile"):
        batches = await client.follow(TASK_LOG, id=task_runs[name]["id"])
        lines[name] = [line["text"] for batch in batches for line in batch["lines"]]
    assert any("on connection" in line for line in lines["currencies"]) is real_mysql
    assert "profiling 4 orders" in lines["profile"]


async def an_output_downloads_in_whole_and_in_part(browser: httpx.AsyncClient, output: dict[str, Any]) -> None:
    whole = await browser.get(output["downloadUrl"])
    assert whole.status_code == 200
    assert "orders.csv" in whole.headers["content-disposition"]
    assert len(whole.content) == output["sizeBytes"]
    lines = whole.text.splitlines()
    assert lines[0] == "id,buyer,amount"
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["1,ada", '2,""', "3,", '4,"bob ""the buyer"", senior"']
    part = await browser.get(output["downloadUrl"], headers={"range": "bytes=3-7"})
    assert (part.status_code, part.text) == (206, "buyer")
    assert part.headers["content-range"] == f"bytes 3-7/{output['sizeBytes']}"
    beyond = await browser.get(output["downloadUrl"], headers={"range": f"bytes={output['sizeBytes']}-"})
    assert beyond.status_code == 416
    forged = await browser.get(output["downloadUrl"].replace("/downloads/", "/downloads/A"))
    assert forged.status_code == 404


async def two_outputs_are_reconciled(
    client: Foreigner, browser: httpx.AsyncClient, playground: str, tasks: dict[str, str]
) -> None:
    mapping = [{"left": name, "right": name, "key": name == "id"} for name in ("id", "buyer", "amount")]
    sides = {"leftTaskId": tasks["by presto"], "rightTaskId": tasks["by spark"]}
    pair = await client.change(CREATE_RECONCILIATION, playgroundId=playground, **sides, mapping=mapping)
    started = await client.change(RUN_RECONCILIATION, reconciliationId=pair["id"])
    batches = await client.follow(RECONCILIATION_EVENTS, id=started["id"])
    events = [event for batch in batches for event in batch["events"]]
    statuses = [event["status"] for event in events]
    assert statuses == ["PENDING", *["RUNNING"] * (len(statuses) - 2), "SUCCESS"]
    assert [event["progress"] for event in events] == sorted(event["progress"] for event in events)
    run = await client.ask(RECONCILIATION_RUN, id=started["id"])
    assert (run["status"], run["error"], run["method"], run["progress"]) == ("SUCCESS", None, "EXACT", 1)
    the_result_is_true(run["result"])
    differences = await browser.get(run["result"]["differencesUrl"])
    assert differences.status_code == 200
    assert len(differences.text.splitlines()) >= 4  # a header, and the three that differ
    part = await browser.get(run["result"]["differencesUrl"], headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, differences.content[:4])
    report = await browser.get(run["result"]["reportUrl"])
    assert (report.status_code, report.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "PRESTO task, run 1" in report.text


def the_result_is_true(result: dict[str, Any]) -> None:
    assert result["exact"]
    assert not result["matched"]
    counts = {
        kind: result[f"{kind}RowCount"] for kind in ("left", "right", "common", "changed", "leftOnly", "rightOnly")
    }
    assert counts == {"left": 4, "right": 4, "common": 2, "changed": 1, "leftOnly": 1, "rightOnly": 1}
    differing = {column["left"]: column["differingRowCount"] for column in result["columns"]}
    assert differing == {"buyer": 0, "amount": 1}
    assert next(c for c in result["columns"] if c["left"] == "amount")["maxAbsoluteDifference"] == pytest.approx(1.5)
    (changed,) = result["changed"]
    assert (changed["key"], changed["changedColumns"]) == (["4"], ["amount"])
    assert [float(side[2]) for side in (changed["left"], changed["right"])] == [40.0, 41.5]
    assert [row["key"] for row in result["leftOnly"]] == [["3"]]
    assert [row["key"] for row in result["rightOnly"]] == [["9"]]
    assert result["rightOnly"][0]["left"] is None
