"""Functions through the API: uploading by a multipart form, lists, and what is told of a form that is not right."""

import json
from typing import Any

import pytest

from app.graphql.ids import to_global
from tests.graphql.rooms.conftest import Caller, Site
from tests.support.jars import hive_jar, spark_jar

FIELDS = """id name functionName className kind description parameterTypes returnType jarSizeBytes jarSha256
  usedBy { name }"""
UPLOAD = f"""mutation($i: UploadUdfInput!) {{ uploadUdf(input: $i) {{ udf {{ {FIELDS} }}
  errors {{ code message path }} }} }}"""
UPDATE = f"""mutation($i: UpdateUdfInput!) {{ updateUdf(input: $i) {{ udf {{ {FIELDS} }}
  errors {{ code message path }} }} }}"""
DELETE = "mutation($i: DeleteUdfInput!) { deleteUdf(input: $i) { deletedId errors { code message path } } }"
UDFS = """query($first: Int, $after: String, $last: Int, $before: String, $search: String) {
  udfs(first: $first, after: $after, last: $last, before: $before, search: $search) {
    nodes { id name } edges { cursor } pageInfo { hasNextPage endCursor startCursor hasPreviousPage } } }"""
CREATE_TASK = """mutation($i: CreateTaskInput!) { createTask(input: $i) {
  task { id udfs { name } } errors { code path } } }"""
UPDATE_TASK = """mutation($i: UpdateTaskInput!) { updateTask(input: $i) {
  task { id udfs { name } } errors { code path } } }"""
PREFLIGHT = {"graphql-require-preflight": "1"}


async def form(
    caller: Caller, query: str, jar: bytes, input_: dict[str, Any], *, headers: dict[str, str] = PREFLIGHT
) -> Any:
    """The response to a form that carries a file in the input's `jar`."""
    operations = {"query": query, "variables": {"i": {**input_, "jar": None}}}
    data = {"operations": json.dumps(operations), "map": '{"0": ["variables.i.jar"]}'}
    token = {} if caller.token is None else {"authorization": f"Bearer {caller.token}"}
    files = {"0": ("functions.jar", jar, "application/java-archive")}
    return await caller.http.post("/graphql", data=data, files=files, headers={**token, **headers})


async def upload(caller: Caller, name: str, jar: bytes | None = None, **values: Any) -> dict[str, Any]:
    input_ = {"name": name, "functionName": name, "className": "com.example.Lower", **values}
    response = await form(caller, UPLOAD, jar or hive_jar(), input_)
    assert response.status_code == 200, response.text
    (payload,) = response.json()["data"].values()
    return payload


async def test_an_uploaded_function_is_told_as_it_is(site: Site) -> None:
    payload = await upload(
        site.owner,
        "twice",
        spark_jar(),
        className="com.example.Twice",
        parameterTypes=["int"],
        returnType="bigint",
        description="Two of each.",
    )
    assert payload["errors"] == []
    udf = payload["udf"]
    assert len(udf.pop("jarSha256")) == 64
    assert udf.pop("id")
    assert udf == {
        "name": "twice",
        "functionName": "twice",
        "className": "com.example.Twice",
        "kind": "SPARK",
        "description": "Two of each.",
        "parameterTypes": ["int"],
        "returnType": "bigint",
        "jarSizeBytes": len(spark_jar()),
        "usedBy": [],
    }


async def test_a_jar_over_the_limit_is_told_at_its_field(site: Site) -> None:
    site.bench.services.udfs._max_jar_bytes = 1_000
    payload = await upload(site.owner, "f", bytes(1_001))
    assert payload["udf"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("TOO_LARGE", ["jar"])]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_form_is_read_of_somebody_who_is_signed_in_alone(site: Site) -> None:
    input_ = {"name": "f", "functionName": "f", "className": "com.example.Lower"}
    for caller in (site.nobody, Caller(site.nobody.http, "no.good.token")):
        response = await form(caller, UPLOAD, hive_jar(), input_)
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    response = await form(site.owner, UPLOAD, hive_jar(), input_, headers={})
    assert response.status_code == 403
    assert "GraphQL-Require-Preflight" in response.json()["errors"][0]["message"]
    assert (await site.owner.value(UDFS))["nodes"] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_jar_that_is_no_file_is_refused(site: Site) -> None:
    input_ = {"name": "f", "functionName": "f", "className": "a.F"}
    for odd in ("text", 7, {"a": 1}, ["x"], True):
        payload = await site.owner.value(UPLOAD, i={**input_, "jar": odd})
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [("INVALID", ["jar"])]
    answer = await site.owner.ask(UPLOAD, i={**input_, "jar": None})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_functions_are_listed_by_pages_and_found_by_their_names(site: Site) -> None:
    ids = [(await upload(site.owner, name))["udf"]["id"] for name in ("a_lower", "b_upper", "c_lower", "d")]
    ids.reverse()
    first = await site.owner.value(UDFS, first=3)
    assert [node["id"] for node in first["nodes"]] == ids[:3]
    rest = await site.owner.value(UDFS, first=3, after=first["pageInfo"]["endCursor"])
    assert ([node["id"] for node in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (ids[3:], False)
    back = await site.owner.value(UDFS, last=2, before=rest["pageInfo"]["startCursor"])
    assert [node["id"] for node in back["nodes"]] == ids[1:3]
    for search, names in (("LOWER", ["c_lower", "a_lower"]), ("_", ["c_lower", "b_upper", "a_lower"]), ("%", [])):
        found = await site.owner.value(UDFS, search=search)
        assert [node["name"] for node in found["nodes"]] == names
    answer = await site.owner.ask(UDFS, search="\0")
    assert answer["errors"][0]["extensions"]["path"] == ["search"]


async def test_a_task_takes_functions_and_lets_them_go(site: Site) -> None:
    first, second = [(await upload(site.owner, name))["udf"]["id"] for name in ("a", "b")]
    playground = await site.bench.playground()
    draft = {"playgroundId": to_global("Playground", playground.id), "type": "HIVE", "query": "SELECT a(1)"}
    task = (await site.owner.value(CREATE_TASK, i={**draft, "name": "t", "udfIds": [second, first]}))["task"]
    assert task["udfs"] == [{"name": "a"}, {"name": "b"}]
    payload = await site.owner.value(DELETE, i={"udfId": first})
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("CONFLICT", ["udfId"])]
    assert "«t»" in payload["errors"][0]["message"]
    for input_, names in (({"name": "u"}, ["a", "b"]), ({"udfIds": [first]}, ["a"]), ({"udfIds": None}, [])):
        changed = (await site.owner.value(UPDATE_TASK, i={"taskId": task["id"], **input_}))["task"]
        assert [udf["name"] for udf in changed["udfs"]] == names
    assert await site.owner.value(DELETE, i={"udfId": first}) == {"deletedId": first, "errors": []}
    assert await site.owner.value("query($id: ID!) { node(id: $id) { id } }", id=first) is None


async def test_a_task_run_tells_the_functions_of_its_start(site: Site) -> None:
    udf = (await upload(site.owner, "f", parameterTypes=["string"]))["udf"]
    playground = await site.bench.playground()
    draft = {"playgroundId": to_global("Playground", playground.id), "name": "t", "type": "HIVE", "query": "SELECT 1"}
    await site.owner.value(CREATE_TASK, i={**draft, "udfIds": [udf["id"]]})
    run = await site.bench.launch(playground)
    await site.owner.value(UPDATE, i={"udfId": udf["id"], "functionName": "g", "parameterTypes": []})
    document = """query($id: ID!) { run(id: $id) { taskRuns {
      udfs { functionName className kind jarSha256 parameterTypes returnType } } } }"""
    (row,) = (await site.owner.value(document, id=to_global("Run", run.id)))["taskRuns"]
    assert row["udfs"] == [
        {
            "functionName": "f",
            "className": "com.example.Lower",
            "kind": "HIVE",
            "jarSha256": udf["jarSha256"],
            "parameterTypes": ["string"],
            "returnType": None,
        }
    ]


async def test_a_function_is_changed_with_a_new_jar_or_without(site: Site) -> None:
    udf = (await upload(site.owner, "f", description="old"))["udf"]
    payload = await site.owner.value(UPDATE, i={"udfId": udf["id"], "description": "new", "returnType": "string"})
    assert payload["errors"] == []
    assert payload["udf"] == {**udf, "description": "new", "returnType": "string"}
    values = {"udfId": udf["id"], "className": "com.example.Twice", "returnType": None}
    payload = (await form(site.owner, UPDATE, spark_jar(), values)).json()["data"]["updateUdf"]
    assert payload["errors"][0]["path"] == ["returnType"]
    payload = (await form(site.owner, UPDATE, spark_jar(), {**values, "returnType": "int"})).json()["data"]["updateUdf"]
    assert (payload["udf"]["kind"], payload["udf"]["jarSizeBytes"]) == ("SPARK", len(spark_jar()))
    cleared = {"udfId": udf["id"], "className": "com.example.Lower", "returnType": None, "parameterTypes": None}
    payload = (await form(site.owner, UPDATE, hive_jar(), cleared)).json()["data"]["updateUdf"]
    assert (payload["udf"]["kind"], payload["udf"]["returnType"]) == ("HIVE", None)
