"""Everything is its owner's: nobody else sees it, changes it or hears of it, and nothing is told without a token."""

from typing import Any

import pytest

from app.graphql.context import RequestContext
from app.graphql.schema import build_schema
from app.graphql.transport.documents import Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.streams import StreamFailedError
from tests.graphql.rooms.conftest import Site, World
from tests.graphql.rooms.operations import (
    BY_ID,
    MUTATIONS,
    OPEN_MUTATIONS,
    OPEN_QUERIES,
    OWN_MUTATIONS,
    QUERIES,
    SUBSCRIPTIONS,
    filled,
    mutation,
    query,
)

PICTURE = """{ playgrounds(first: 3) { nodes { id name description status modifiedAt schedule { cron }
  tasks { id name query modifiedAt parents { id } } runs(first: 3) { nodes { id status cancelRequested } }
  reconciliations { id mapping { left } runs(first: 3) { nodes { id status } } } } } }"""


def test_every_root_field_stands_in_the_tables_of_these_tests() -> None:
    schema = build_schema()._schema
    for root, table in (
        (schema.query_type, QUERIES),
        (schema.mutation_type, MUTATIONS),
        (schema.subscription_type, SUBSCRIPTIONS),
    ):
        assert root is not None
        assert set(root.fields) == set(table)


async def test_without_a_token_nothing_but_the_open_fields_answers(site: Site, world: World) -> None:
    for field in QUERIES.keys() - OPEN_QUERIES:
        answer = await site.nobody.ask(query(field, world.ids, location=world.left_run.output_location or ""))
        assert _codes(answer) == ["UNAUTHENTICATED"], field
        assert not (answer.get("data") or {}).get(field)
    for field in MUTATIONS.keys() - OPEN_MUTATIONS:
        answer = await site.nobody.ask(mutation(field), i=filled(MUTATIONS[field][1], world.ids))
        assert _codes(answer) == ["UNAUTHENTICATED"], field
    for field in OPEN_QUERIES:
        assert "errors" not in await site.nobody.ask(query(field, world.ids)), field
    assert await site.nobody.value("{ viewer { id } }") is None
    for field in OPEN_MUTATIONS:
        answer = await site.nobody.ask(mutation(field), i=MUTATIONS[field][1])
        assert "errors" not in answer, field


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_token_that_is_none_is_refused_also_where_none_is_wanted(site: Site) -> None:
    for token in ("x", "a.b.c", "Bearer", "\u00e9", "e" * 5000):
        headers = {"authorization": f"Bearer {token}".encode("latin-1")}
        response = await site.nobody.http.post("/graphql", json={"query": "{ viewer { id } }"}, headers=headers)
        assert _codes(response.json()) == ["UNAUTHENTICATED"], token


async def test_a_stranger_finds_nothing_by_id_and_the_owner_does(site: Site, world: World) -> None:
    for field in BY_ID:
        assert await site.stranger.value(query(field, world.ids)) is None, field
        assert (await site.owner.value(query(field, world.ids)))["id"], field
    for id_ in world.ids.values():
        assert await site.stranger.value("query($id: ID!) { node(id: $id) { id } }", id=id_) is None
        assert await site.owner.value("query($id: ID!) { node(id: $id) { id __typename } }", id=id_)
    found = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert await site.stranger.value(found, ids=list(world.ids.values())) == [None] * len(world.ids)
    assert [node["id"] for node in await site.owner.value(found, ids=list(world.ids.values()))] == [*world.ids.values()]
    assert await site.stranger.value("{ playgrounds { nodes { id } } }") == {"nodes": []}
    assert await site.stranger.value("{ udfs { nodes { id } } }") == {"nodes": []}


async def test_a_stranger_previews_nothing(site: Site, world: World) -> None:
    location = world.left_run.output_location or ""
    ask = query("preview", world.ids, location=location)
    assert await site.owner.value(ask) == {"columns": ["one"]}
    answer = await site.stranger.ask(ask)
    assert _codes(answer) == ["NOT_FOUND"]
    assert answer["errors"][0]["extensions"]["path"] == ["location"]


async def test_a_stranger_changes_nothing(site: Site, world: World) -> None:
    before = await site.owner.value(PICTURE)
    for field in MUTATIONS.keys() - OWN_MUTATIONS:
        payload = await site.stranger.value(mutation(field), i=filled(MUTATIONS[field][1], world.ids))
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"], (field, payload)
        assert payload["errors"][0]["message"]
        assert all(value is None for name, value in payload.items() if name != "errors"), field
    assert await site.owner.value(PICTURE) == before
    others = await site.stranger.value(mutation("logout"), i={"refreshToken": "no token"})
    assert [error["code"] for error in others["errors"]] == ["EXPIRED"]


async def test_a_strangers_own_things_cannot_be_tied_to_anothers(site: Site, world: World) -> None:
    mine = (await site.stranger.value(mutation("createPlayground"), i={"name": "mine"}))["playground"]["id"]
    draft = {"playgroundId": mine, "name": "t", "type": "MYSQL", "query": "SELECT 1"}
    task = (await site.stranger.value(mutation("createTask"), i=draft))["task"]["id"]
    ids = world.ids
    attempts: list[tuple[str, dict[str, Any], list[str]]] = [
        ("createTask", {**draft, "name": "u", "parentIds": [task, ids["left"]]}, ["parentIds", "1"]),
        ("updateTask", {"taskId": task, "parentIds": [ids["left"]]}, ["parentIds", "0"]),
        ("setTaskParents", {"taskId": task, "parentIds": [ids["left"]]}, ["parentIds", "0"]),
        ("createTask", {**draft, "name": "u", "type": "HIVE", "udfIds": [ids["udf"]]}, ["udfIds", "0"]),
        ("updateTask", {"taskId": task, "udfIds": [ids["udf"]]}, ["udfIds", "0"]),
        ("runPlayground", {"playgroundId": mine, "taskIds": [ids["left"]]}, ["taskIds", "0"]),
        (
            "createReconciliation",
            {
                "playgroundId": mine,
                "leftTaskId": task,
                "rightTaskId": ids["right"],
                "mapping": [{"left": "a", "right": "a"}],
            },
            ["rightTaskId"],
        ),
    ]
    for field, input_, path in attempts:
        payload = await site.stranger.value(mutation(field), i=input_)
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", path)], field
    pair = {"playgroundId": mine, "leftTaskId": task, "rightTaskId": task, "mapping": [{"left": "a", "right": "a"}]}
    own = (await site.stranger.value(mutation("createReconciliation"), i=pair))["reconciliation"]["id"]
    payload = await site.stranger.value(
        mutation("runReconciliation"), i={"reconciliationId": own, "leftTaskRunId": ids["leftRun"]}
    )
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", ["leftTaskRunId"])]


async def test_a_stranger_and_nobody_hear_nothing(site: Site, world: World) -> None:
    executor = GraphQLExecutor(schema=build_schema())
    stranger = await site.bench.services.accounts.authenticate(site.stranger.token or "")
    for field in SUBSCRIPTIONS:
        for viewer, code in ((stranger, "NOT_FOUND"), (None, "UNAUTHENTICATED")):
            assert await _first_error(site, executor, query(field, world.ids), viewer) == code, field


async def _first_error(site: Site, executor: GraphQLExecutor, document: str, viewer: Any) -> str:
    prepared = executor.prepare(document)
    assert not isinstance(prepared, Refusal)
    stream = await executor.open_stream(
        prepared,
        variables={},
        context_factory=lambda: RequestContext(services=site.bench.services, viewer=viewer),
        viewer_key=None,
    )
    if isinstance(stream, Refusal):
        return str(stream.errors[0]["extensions"]["code"])
    try:
        async for payload in stream:
            raise AssertionError(payload)
    except StreamFailedError as failure:
        return str(failure.error["extensions"]["code"])
    finally:
        await stream.aclose()
    return "nothing was said"


def _codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", ())]
