"""GraphQL over HTTP: methods, media types, statuses."""

import asyncio
import json

import httpx
import pytest

GRAPHQL = "application/graphql-response+json"


async def test_a_query_is_answered(site):
    response = await site.post("{hello}")
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "Hello, world!"}})
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert "server" not in response.headers


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, application/json", GRAPHQL),
        (f"application/json, {GRAPHQL}", GRAPHQL),
        (f"application/json, {GRAPHQL};q=0.5", "application/json"),
        (f"{GRAPHQL};q=0, */*;q=0.1", "application/json"),
        ("text/html, application/json;q=0.9", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("application/json;q=nonsense, */*", GRAPHQL),
    ],
)
async def test_the_answer_has_the_type_that_the_client_likes_best(site, accept, content_type):
    request = site.http.build_request("POST", site.url, json={"query": "{hello}"})
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    response = await site.http.send(request)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == content_type


async def test_a_client_that_wants_none_of_the_types_is_told_which_there_are(site):
    response = await site.post("{hello}", accept="image/png")
    assert response.status_code == 406
    assert "application/json" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("query", ["{hello", "{nope}", "query A{hello} query B{hello}", "query($n:Int!){hello}"])
async def test_a_refused_operation_is_400_in_the_new_type_and_200_in_the_old(site, query):
    new, old = await site.post(query), await site.post(query, accept="application/json")
    assert (new.status_code, old.status_code) == (400, 200)
    assert new.json() == old.json()
    assert "data" not in new.json()


async def test_an_error_of_a_resolver_is_200_with_the_rest_of_the_data(site):
    response = await site.post("{hello refused}")
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "Hello, world!", "refused": None}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"query":' * 50_000, "not valid JSON"),
        (b'{"query":"{hello}","variables":{"a":NaN}}', "not valid JSON"),
        (b'[{"query":"{hello}"}]', "Batches"),
        (b'"text"', "JSON object"),
        (b"null", "JSON object"),
        (b"7", "JSON object"),
        (b"{}", "`query`"),
        (b'{"query":null}', "`query`"),
        (b'{"query":{"a":1}}', "`query`"),
        (b'{"query":"{hello}","operationName":7}', "`operationName`"),
        (b'{"query":"{hello}","variables":[1]}', "`variables`"),
        (b'{"query":"{hello}","variables":"{}"}', "`variables`"),
        (b'{"query":"{hello}","extensions":"x"}', "`extensions`"),
    ],
)
async def test_a_body_that_is_no_request_is_400_and_says_why(site, body, words):
    response = await site.http.post(site.url, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert words in error["message"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert site.log.events == []


async def test_unknown_keys_and_extensions_are_ignored(site):
    response = await site.post("{hello}", extensions={"persistedQuery": {}}, whatever=[1], operationName=None)
    assert response.json() == {"data": {"hello": "Hello, world!"}}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "", "application/graphql", "application/json; charset=utf-16"],
)
async def test_types_that_a_browser_sends_across_origins_unasked_are_refused(site, content_type):
    response = await site.http.post(site.url, content=b'{"query":"{hello}"}', headers={"content-type": content_type})
    assert response.status_code == 415
    assert "application/json" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"'])
async def test_a_charset_of_utf_8_is_read(site, content_type):
    body = '{"query":"{hello(name:\\"Zoë\\")}"}'.encode()
    response = await site.http.post(site.url, content=body, headers={"content-type": content_type})
    assert response.json() == {"data": {"hello": "Hello, Zoë!"}}


async def test_a_compressed_body_is_refused_in_words(site):
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = await site.http.post(site.url, content=b"x", headers=headers)
    assert response.status_code == 415
    assert "not compressed" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_405_with_those_that_are_served(site, method):
    response = await site.http.request(method, site.url)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


async def test_options_names_the_methods(site):
    response = await site.http.options(site.url)
    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


async def test_a_query_can_be_sent_by_get(site):
    parameters = {"query": "query Q($n:String!){hello(name:$n)}", "variables": '{"n":"Ann"}', "operationName": "Q"}
    response = await site.http.get(site.url, params=parameters)
    assert response.json() == {"data": {"hello": "Hello, Ann!"}}


async def test_a_mutation_by_get_changes_nothing(site):
    response = await site.http.get(site.url, params={"query": 'mutation{write(text:"a")}'})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert site.world.writes == []


@pytest.mark.parametrize(
    "parameters", [{}, {"query": "{hello}", "variables": "{"}, {"query": "{hello}", "variables": "[]"}]
)
async def test_a_wrong_address_is_400(site, parameters):
    response = await site.http.get(site.url, params=parameters)
    assert response.status_code == 400


async def test_a_browser_gets_graphiql(site):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    response = await site.http.get(site.url, headers={"accept": accept})
    assert "GraphiQL" in response.text


async def test_a_browser_that_follows_a_link_with_a_query_gets_the_answer(site):
    response = await site.http.get(site.url, params={"query": "{hello}"}, headers={"accept": "text/html,*/*;q=0.8"})
    assert response.json() == {"data": {"hello": "Hello, world!"}}


async def test_a_subscription_by_plain_post_is_refused_with_the_ways_that_work(site):
    response = await site.post("subscription{count}")
    assert response.status_code == 400
    assert "graphql-transport-ws" in response.json()["errors"][0]["message"]
    assert "text/event-stream" in response.json()["errors"][0]["message"]
    assert site.world.closed_streams == 0


async def test_a_token_is_taken_from_the_header(site):
    response = await site.http.post(site.url, json={"query": "{viewer}"}, headers={"authorization": "bearer  ann"})
    assert response.json() == {"data": {"viewer": "ann"}}


async def test_a_wrong_token_is_401_with_a_challenge(site):
    response = await site.http.post(site.url, json={"query": "{viewer}"}, headers={"authorization": "Bearer bad"})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    (error,) = response.json()["errors"]
    assert (error["message"], error["extensions"]["code"]) == ("The token is not valid.", "UNAUTHENTICATED")


async def test_a_body_over_the_limit_is_413_before_it_is_sent(start_site):
    site = await start_site(max_body_bytes=1_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{"
    writer.write(head % 99_999_999_999)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert b"413" in head.split(b"\r\n")[0]
    body = await asyncio.wait_for(reader.read(), 15)  # and the connection is closed, the rest is not waited for
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "TOO_LARGE"
    writer.close()


async def test_a_chunked_body_over_the_limit_is_413_while_it_streams(start_site):
    site = await start_site(max_body_bytes=1_000)
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield b"x" * 10_000
            await asyncio.sleep(0.001)

    try:
        response = await site.http.post(site.url, content=endless(), headers={"content-type": "application/json"})
        assert response.status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass  # the server had hung up before the client looked for the answer
    assert sent < 25_000_000


async def test_a_body_as_large_as_the_limit_is_read(start_site):
    site = await start_site(max_body_bytes=1_000)
    body = json.dumps({"query": "{hello}"}).encode().ljust(1_000)
    headers = {"content-type": "application/json"}
    assert (await site.http.post(site.url, content=body, headers=headers)).status_code == 200
    assert (await site.http.post(site.url, content=body + b" ", headers=headers)).status_code == 413


async def test_deep_json_in_variables_is_answered_not_crashed(site):
    deep = b'{"query":"query($n:String){hello(name:$n)}","variables":{"n":' + b"[" * 1_000 + b"]" * 1_000 + b"}}"
    response = await site.http.post(site.url, content=deep, headers={"content-type": "application/json"})
    assert response.status_code in {200, 400}
    assert response.json()["errors"][0]["extensions"]["code"] in {"BAD_REQUEST", "BAD_USER_INPUT"}
    assert site.log.events == []


async def test_introspection_is_resolved_once_for_all_who_ask(site):
    query = "{__schema{types{name}}}"
    first, second = await site.post(query), await site.post(query)
    assert first.json() == second.json()
    assert len(site.executor._constant_answers) == 1
    await site.post("{__typename hello}")
    assert len(site.executor._constant_answers) == 1
