"""What is wrong with an input comes back typed, with the field it is about, and never as a fault of the server's."""

import asyncio
from typing import Any

import pytest

from app.graphql.ids import to_cursor, to_global
from tests.graphql.rooms.conftest import Caller, Site, World
from tests.graphql.rooms.operations import MUTATIONS, filled, mutation

ODD_IDS = ["", "x", "%%%", "Playground:1", "\u0000", "é" * 50, "UGxheWdyb3VuZDp4", "a" * 5000]
ODD_CURSORS = ["", "x", "\u0000", "YWZ0ZXI6", "YWZ0ZXI6LTE", "a" * 5000, "YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5"]
PAIR = {"left": "a", "right": "a"}
SCHEDULE = {"cron": "@daily"}

# field, what is changed of a right input, the code, the path
REFUSED: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("createPlayground", {"name": ""}, "INVALID", ["name"]),
    ("createPlayground", {"name": " \t "}, "INVALID", ["name"]),
    ("createPlayground", {"name": "x" * 201}, "INVALID", ["name"]),
    ("createPlayground", {"name": "a\u0000b"}, "INVALID", ["name"]),
    ("createPlayground", {"name": "a\nb"}, "INVALID", ["name"]),
    ("createPlayground", {"description": "x" * 20_001}, "TOO_LARGE", ["description"]),
    ("createPlayground", {"schedule": {"cron": "61 * * * *"}}, "INVALID", ["schedule", "cron"]),
    ("createPlayground", {"schedule": {"cron": "x" * 5000}}, "INVALID", ["schedule", "cron"]),
    ("createPlayground", {"schedule": {**SCHEDULE, "timezone": "Mars"}}, "INVALID", ["schedule", "timezone"]),
    ("updatePlayground", {"name": ""}, "INVALID", ["name"]),
    ("updatePlayground", {"schedule": {"cron": "R * * * *"}}, "INVALID", ["schedule", "cron"]),
    ("createTask", {"name": ""}, "INVALID", ["name"]),
    ("createTask", {"name": "left"}, "TAKEN", ["name"]),
    ("createTask", {"query": "  \n "}, "INVALID", ["query"]),
    ("createTask", {"query": "SELECT '\u0000'"}, "INVALID", ["query"]),
    ("createTask", {"query": "é" * 500_001}, "TOO_LARGE", ["query"]),
    ("createTask", {"connection": "no such server"}, "INVALID", ["connection"]),
    ("createTask", {"connection": "x" * 5000}, "INVALID", ["connection"]),
    ("createTask", {"maxRetries": -1}, "INVALID", ["maxRetries"]),
    ("createTask", {"maxRetries": 101}, "INVALID", ["maxRetries"]),
    ("createTask", {"retryDelayMs": -1}, "INVALID", ["retryDelayMs"]),
    ("createTask", {"timeoutMs": 0}, "INVALID", ["timeoutMs"]),
    ("createTask", {"timeoutMs": 2**62}, "INVALID", ["timeoutMs"]),
    ("createTask", {"parentIds": ["$playground"]}, "NOT_FOUND", ["parentIds", "0"]),
    ("createTask", {"parentIds": ["$left", "x"]}, "NOT_FOUND", ["parentIds", "1"]),
    ("updateTask", {"name": "right"}, "TAKEN", ["name"]),
    ("updateTask", {"parentIds": ["$left"]}, "CYCLE", ["parentIds"]),
    ("updateTask", {"parentIds": ["$right"]}, "CYCLE", ["parentIds"]),
    ("setTaskParents", {"parentIds": ["$right"]}, "CYCLE", ["parentIds"]),
    ("setTaskParents", {"taskId": "$left", "parentIds": ["$right"]}, "CYCLE", ["parentIds"]),
    ("createTask", {"udfIds": ["$left"]}, "NOT_FOUND", ["udfIds", "0"]),
    ("createTask", {"type": "PRESTO", "udfIds": ["$udf"]}, "INVALID", ["udfIds", "0"]),
    ("createTask", {"type": "MYSQL", "udfIds": ["$udf"]}, "INVALID", ["udfIds", "0"]),
    ("uploadUdf", {}, "INVALID", ["jar"]),
    ("updateUdf", {"jar": {"a": 1}}, "INVALID", ["jar"]),
    ("updateUdf", {"name": " "}, "INVALID", ["name"]),
    ("updateUdf", {"functionName": "a b"}, "INVALID", ["functionName"]),
    ("updateUdf", {"functionName": "x" * 129}, "INVALID", ["functionName"]),
    ("updateUdf", {"className": "com.example.Upper"}, "INVALID", ["className"]),
    ("updateUdf", {"className": "a'b"}, "INVALID", ["className"]),
    ("updateUdf", {"description": "x" * 20_001}, "TOO_LARGE", ["description"]),
    ("updateUdf", {"parameterTypes": ["int", "int; x"]}, "INVALID", ["parameterTypes", "1"]),
    ("updateUdf", {"returnType": "nothing"}, "INVALID", ["returnType"]),
    ("updateUdf", {"kind": "SPARK"}, "INVALID", ["kind"]),
    ("runPlayground", {"taskIds": []}, "INVALID", ["taskIds"]),
    ("runPlayground", {"taskIds": ["x"]}, "NOT_FOUND", ["taskIds", "0"]),
    ("runPlayground", {"idempotencyKey": ""}, "INVALID", ["idempotencyKey"]),
    ("runPlayground", {"idempotencyKey": "x" * 201}, "INVALID", ["idempotencyKey"]),
    ("cancelRun", {}, "ILLEGAL_STATE", ["runId"]),
    ("resumeRun", {}, "ILLEGAL_STATE", ["runId"]),
    ("cancelBackfill", {}, "ILLEGAL_STATE", ["backfillId"]),
    ("startBackfill", {"playgroundId": "$playground"}, "CONFLICT", ["playgroundId"]),
    ("startBackfill", {"from": "2026-01-03T00:00:00Z"}, "INVALID", ["from"]),
    ("startBackfill", {"until": "2999-01-03T00:00:00Z"}, "INVALID", ["until"]),
    ("startBackfill", {"from": "1970-01-01T00:00:00Z"}, "TOO_LARGE", ["until"]),
    ("startBackfill", {"from": "0001-01-01T00:00:00+14:00"}, "INVALID", ["from"]),
    ("startBackfill", {"maxConcurrentRuns": 0}, "INVALID", ["maxConcurrentRuns"]),
    ("createPlayground", {"parameters": [{"name": "a b", "value": 1}]}, "INVALID", ["parameters", "0", "name"]),
    ("updatePlayground", {"parameters": [{"name": "a", "value": "\u0000"}]}, "INVALID", ["parameters", "0", "value"]),
    ("createTask", {"query": "SELECT {{ nothing }}"}, "INVALID", ["query"]),
    ("updateTask", {"query": "SELECT {{"}, "INVALID", ["query"]),
    ("runPlayground", {"parameters": [{"name": "a", "value": 1}]}, "NOT_FOUND", ["parameters", "0", "name"]),
    ("createReconciliation", {"mapping": []}, "INVALID", ["mapping"]),
    ("createReconciliation", {"mapping": [PAIR, PAIR]}, "INVALID", ["mapping", "1", "left"]),
    ("createReconciliation", {"mapping": [{"left": "", "right": "a"}]}, "INVALID", ["mapping", "0", "left"]),
    ("createReconciliation", {"leftTaskId": "$run"}, "NOT_FOUND", ["leftTaskId"]),
    (
        "createReconciliation",
        {"options": {"absoluteTolerance": -1}},
        "INVALID",
        ["options", "absoluteTolerance"],
    ),
    ("createReconciliation", {"options": {"relativeTolerance": 1}}, "INVALID", ["options", "relativeTolerance"]),
    ("createReconciliation", {"options": {"verify": False}}, "INVALID", ["options", "verify"]),
    (
        "createReconciliation",
        {"options": {"passWhen": {"maxDifferingRows": -1}}},
        "INVALID",
        ["options", "passWhen", "maxDifferingRows"],
    ),
    (
        "createReconciliation",
        {"options": {"passWhen": {"maxDifferingPercent": 101}}},
        "INVALID",
        ["options", "passWhen", "maxDifferingPercent"],
    ),
    ("updateReconciliation", {"mapping": []}, "INVALID", ["mapping"]),
    ("updateReconciliation", {"options": {"absoluteTolerance": -1}}, "INVALID", ["options", "absoluteTolerance"]),
    ("runReconciliation", {"leftTaskRunId": "$rightRun"}, "NOT_FOUND", ["leftTaskRunId"]),
    ("runReconciliation", {"idempotencyKey": ""}, "INVALID", ["idempotencyKey"]),
    ("register", {"email": "no address"}, "INVALID", ["email"]),
    ("register", {"email": "a\u0000b@example.com"}, "INVALID", ["email"]),
    ("register", {"email": f"{'a' * 300}@example.com"}, "INVALID", ["email"]),
    ("register", {"username": "x"}, "INVALID", ["username"]),
    ("register", {"username": "a b"}, "INVALID", ["username"]),
    ("register", {"password": "short"}, "INVALID", ["password"]),
    ("register", {"password": "x" * 257}, "INVALID", ["password"]),
    ("login", {"password": "wrong horse"}, "BAD_CREDENTIALS", ["password"]),
    ("login", {"email": "\u0000"}, "BAD_CREDENTIALS", ["password"]),
    ("refreshSession", {"refreshToken": "\u0000"}, "EXPIRED", ["refreshToken"]),
    ("logout", {"refreshToken": "x.y"}, "EXPIRED", ["refreshToken"]),
]


async def test_a_refusal_names_its_kind_and_the_field_it_is_about(site: Site, world: World) -> None:
    wrong = []
    for field, change, code, path in REFUSED:
        answer = await site.owner.ask(mutation(field), i=filled({**MUTATIONS[field][1], **change}, world.ids))
        errors = (answer.get("data") or {field: {"errors": answer}})[field]["errors"]
        found = [(error["code"], error["path"]) for error in errors] if isinstance(errors, list) else errors
        if found != [(code, path)] or len(errors[0]["message"]) < 12:
            wrong.append((field, str(change)[:80], found))
    assert not wrong


async def test_an_id_that_is_none_is_not_found(site: Site, world: World) -> None:
    id_fields = {
        field: [name for name in input_ if name.endswith("Id") and isinstance(input_[name], str)]
        for field, (_, input_) in MUTATIONS.items()
    }
    other_kind = {name: world.ids["pairRun" if name != "reconciliationRunId" else "run"] for name in _names(id_fields)}
    for field, names in id_fields.items():
        for name in names:
            for odd in (*ODD_IDS, other_kind[name], to_global("Playground", world.pair_run.id)):
                input_ = {**filled(MUTATIONS[field][1], world.ids), name: odd}
                payload = await site.owner.value(mutation(field), i=input_)
                assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", [name])], (
                    field,
                    name,
                    odd[:20],
                )
    for field in ("node", "playground", "task", "run", "taskRun", "reconciliation", "reconciliationRun"):
        for odd in ODD_IDS:
            assert await site.owner.value(f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=odd) is None, field


LISTS = {
    "playgrounds": "query(%s) { playgrounds(%s) { nodes { id } } }",
    "runs": 'query(%s) { playground(id: "$playground") { runs(%s) { nodes { id } } } }',
    "pair runs": 'query(%s) { reconciliation(id: "$pair") { runs(%s) { nodes { id } } } }',
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_page_that_cannot_be_is_refused(site: Site, world: World) -> None:
    for name in LISTS:
        await _refuses_odd_pages(site.owner, world, name)


async def _refuses_odd_pages(caller: Caller, world: World, name: str) -> None:
    def document(variables: str, arguments: str) -> str:
        found = LISTS[name] % (variables, arguments)
        for key, id_ in world.ids.items():
            found = found.replace(f'"${key}"', f'"{id_}"')
        return found

    for argument in ("first", "last"):
        for size in (-1, 101, 2**31 - 1):
            answer = await caller.ask(document("$v: Int", f"{argument}: $v"), v=size)
            (error,) = answer["errors"]
            assert error["extensions"]["code"] in {"INVALID", "TOO_COSTLY"}, answer
            if error["extensions"]["code"] == "INVALID":
                assert error["extensions"]["path"] == [argument]
    for argument in ("after", "before"):
        for cursor in (*ODD_CURSORS, to_cursor(7)):
            answer = await caller.ask(document("$v: String", f"{argument}: $v"), v=cursor)
            (error,) = answer["errors"]
            assert (error["extensions"]["code"], error["extensions"]["path"]) == ("INVALID", [argument]), cursor[:20]


async def test_events_take_their_own_cursors_and_sizes_alone(site: Site, world: World) -> None:
    document = (
        "query($id: ID!, $n: Int, $c: String) { run(id: $id) { events(first: $n, after: $c) { nodes { status } } } }"
    )
    for size in (-1, 101):
        answer = await site.owner.ask(document, id=world.ids["run"], n=size)
        assert answer["errors"][0]["extensions"]["code"] in {"INVALID", "TOO_COSTLY"}
    for cursor in (*ODD_CURSORS, to_cursor(world.run.id)):
        answer = await site.owner.ask(document, id=world.ids["run"], n=5, c=cursor)
        assert answer["errors"][0]["extensions"] == {"code": "INVALID", "path": ["after"]}, cursor[:20]


ASKED: dict[str, str] = {
    "schedulePreview": 'query($v: Int!) { schedulePreview(cron: "@daily", count: $v) { valid } }',
    "preview": "query($v: String!) { preview(location: $v) { columns } }",
    "queryFields": "query($v: String!) { queryFields(type: HIVE, query: $v) { complete } }",
    "type": 'query($v: TaskType!) { queryFields(type: $v, query: "SELECT 1") { complete } }',
    "nodes": "query($v: [ID!]!) { nodes(ids: $v) { id } }",
    "first": "query($v: Int) { playgrounds(first: $v) { nodes { id } } }",
    "search": "query($v: String!) { playgrounds(search: $v) { nodes { id } } }",
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_query_that_cannot_be_answered_says_why(site: Site) -> None:
    for name, value, code, path in (
        ("schedulePreview", -1, "INVALID", ["count"]),
        ("schedulePreview", 101, "INVALID", ["count"]),
        ("preview", "../../etc/passwd", "NOT_FOUND", ["location"]),
        ("preview", "a/b/c/\u0000", "NOT_FOUND", ["location"]),
        ("queryFields", "", "INVALID", ["query"]),
        ("queryFields", "\u0000", "INVALID", ["query"]),
        ("search", "\u0000", "INVALID", ["search"]),
        ("nodes", ["x"] * 101, "TOO_LARGE", ["ids"]),
        ("type", "COBOL", "BAD_USER_INPUT", None),
        ("first", 2**31, "BAD_USER_INPUT", None),
        ("first", "five", "BAD_USER_INPUT", None),
    ):
        answer = await site.owner.ask(ASKED[name], v=value)
        (error,) = answer["errors"]
        assert (error["extensions"]["code"], error["extensions"].get("path")) == (code, path), (name, value)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_value_of_the_wrong_kind_is_refused_before_anything_runs(site: Site, world: World) -> None:
    for change in (
        {"type": "COBOL"},
        {"timeoutMs": 2**63},
        {"timeoutMs": "long"},
        {"timeoutMs": True},
        {"maxRetries": 1.5},
        {"name": None},
        {"name": 5},
        {"unknown": 1},
        {"parentIds": [None]},
    ):
        input_ = filled({**MUTATIONS["createTask"][1], **change}, world.ids)
        answer = await site.owner.ask(mutation("createTask"), i=input_)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"], change


async def test_odd_texts_that_are_allowed_come_back_as_they_were(site: Site) -> None:
    odd = "SELECT '\"`$(rm -rf /)`\\' ''' \u2028 🐘 \r\n\t -- é"
    playground = (await site.owner.value(mutation("createPlayground"), i={"name": "🐘 & <b> %_\\ '"}))["playground"][
        "id"
    ]
    draft = {"playgroundId": playground, "name": "' OR 1=1 --", "type": "HIVE", "query": odd}
    await site.owner.value(mutation("createTask"), i=draft)
    found = await site.owner.value(
        "query($s: String) { playgrounds(search: $s) { nodes { name tasks { name query } } } }", s="%_\\"
    )
    assert found == {"nodes": [{"name": "🐘 & <b> %_\\ '", "tasks": [{"name": "' OR 1=1 --", "query": odd}]}]}
    for search in ("%", "_", "nothing", "x" * 5000):
        page = await site.owner.value("query($s: String) { playgrounds(search: $s) { nodes { name } } }", s=search)
        assert len(page["nodes"]) == (search in {"%", "_"})


async def test_a_name_taken_by_a_request_that_was_faster_is_refused_as_taken(site: Site, world: World) -> None:
    draft = {**filled(MUTATIONS["createTask"][1], world.ids), "name": "raced"}
    payloads = await asyncio.gather(*(site.owner.value(mutation("createTask"), i=draft) for _ in range(6)))
    made = [payload for payload in payloads if payload["task"]]
    assert len(made) == 1
    assert {payload["errors"][0]["code"] for payload in payloads if not payload["task"]} == {"TAKEN"}
    made = await asyncio.gather(
        *(site.owner.value(mutation("createPlayground"), i={"name": "raced"}) for _ in range(6))
    )
    assert sorted(bool(payload["playground"]) for payload in made) == [False] * 5 + [True]


async def test_two_halves_of_a_cycle_made_at_once_close_none(site: Site) -> None:
    _, tasks = await site.bench.graph({"a": "", "b": ""})
    a, b = (to_global("Task", tasks[name].id) for name in "ab")
    for _ in range(5):
        payloads = await asyncio.gather(
            site.owner.value(mutation("setTaskParents"), i={"taskId": a, "parentIds": [b]}),
            site.owner.value(mutation("setTaskParents"), i={"taskId": b, "parentIds": [a]}),
        )
        refused = [payload["errors"][0] for payload in payloads if payload["errors"]]
        assert [error["code"] for error in refused] == ["CYCLE"]
        assert "«a»" in refused[0]["message"]
        for task in (a, b):
            await site.owner.value(mutation("setTaskParents"), i={"taskId": task, "parentIds": []})


async def test_a_deletion_answers_with_the_id_and_is_gone(site: Site, world: World) -> None:
    for field, id_ in (
        ("deleteReconciliation", "pair"),
        ("deleteTask", "right"),
        ("deletePlayground", "playground"),
    ):
        payload = await site.owner.value(
            mutation(field), i=filled(MUTATIONS[field][1], world.ids | {"left": world.ids["right"]})
        )
        assert payload == {"deletedId": world.ids[id_], "errors": []}
        assert await site.owner.value("query($id: ID!) { node(id: $id) { id } }", id=world.ids[id_]) is None
        again = await site.owner.value(
            mutation(field), i=filled(MUTATIONS[field][1], world.ids | {"left": world.ids["right"]})
        )
        assert again["errors"][0]["code"] == "NOT_FOUND"


def _names(fields: dict[str, list[str]]) -> set[str]:
    return {name for names in fields.values() for name in names}
