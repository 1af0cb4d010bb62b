"""The pages in a real browser, on a toy API: they work, they keep to their host, and they say what went wrong."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from graphql import GraphQLError, build_schema, graphql, parse, subscribe
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.web.pages import graphiql_response, page_routes

ATTEMPTS_ELSEWHERE = """elsewhere => new Promise(resolve => {
  const refused = [];
  addEventListener("securitypolicyviolation", event => refused.push(event.blockedURI) === 4 && resolve(refused));
  fetch(elsewhere).catch(() => {});
  new Image().src = elsewhere;
  document.head.append(Object.assign(document.createElement("script"), { src: elsewhere }));
  try { new WebSocket(elsewhere.replace("http", "ws")) } catch {}
})"""

TOY_SCHEMA = build_schema("""
    scalar DateTime
    type Query { health: Health!  viewer: User }
    type Mutation {
      login(input: LoginInput!): SessionPayload!
      refreshSession(input: RefreshSessionInput!): SessionPayload!
      logout(input: LogoutInput!): LogoutPayload!
    }
    type Subscription { runEvents(runId: ID!, after: String): RunEventBatch! }
    type Health { database: Boolean!  redis: Boolean!  workers: Int!  schedulerLagMs: Int! }
    type User { username: String! }
    input LoginInput { email: String!  password: String! }
    input RefreshSessionInput { refreshToken: String! }
    input LogoutInput { refreshToken: String! }
    type Session { accessToken: String!  refreshToken: String!  expiresAt: DateTime!  user: User! }
    type SessionPayload { session: Session  errors: [UserError!]! }
    type LogoutPayload { errors: [UserError!]! }
    type UserError { code: String!  message: String!  path: [String!]! }
    type RunEventBatch { cursor: String!  events: [RunEvent!]! }
    type RunEvent { at: DateTime!  status: String!  message: String  taskRun: TaskRun  run: Run! }
    type TaskRun { name: String!  type: String!  status: String!  durationMs: Int }
    type Run { status: String!  counts: RunCounts! }
    type RunCounts { total: Int!  success: Int!  failed: Int! }
""")


@dataclass(kw_only=True)
class ToyApi:
    """Health without a token, one account, and a subscription that tells who listens; remembers what it was asked."""

    token_lives_for: timedelta = timedelta(hours=1)
    tokens_given: int = 0
    sockets_break: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    connection_params: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> list[Any]:
        view = Route("/graphql", self.answer, methods=["GET", "POST"])
        return [*page_routes(), view, WebSocketRoute("/graphql", self.follow)]

    async def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return graphiql_response()
        body = await request.json()
        authorization = request.headers.get("Authorization")
        self.asked.append((parse(body["query"]).definitions[0].name.value, authorization))
        result = await graphql(
            TOY_SCHEMA,
            body["query"],
            root_value={"health": self.health, "viewer": lambda _: viewer(authorization), **self.mutations()},
            variable_values=body.get("variables"),
            operation_name=body.get("operationName"),
        )
        return JSONResponse(result.formatted)

    async def follow(self, ws: WebSocket) -> None:
        await ws.accept(subprotocol="graphql-transport-ws")
        params = (await ws.receive_json()).get("payload") or {}
        self.connection_params.append(params)
        await ws.send_json({"type": "connection_ack"})
        if self.sockets_break:
            await ws.close(1013)
            return
        try:
            while True:
                message = await ws.receive_json()
                if message["type"] == "subscribe":
                    await self.send_events(ws, message["id"], message["payload"], params)
        except WebSocketDisconnect:
            return

    async def send_events(self, ws: WebSocket, id_: str, payload: dict[str, Any], params: dict[str, Any]) -> None:
        async def run_events(_: Any, **_arguments: Any) -> AsyncIterator[dict[str, Any]]:
            for cursor, status in enumerate(["RUNNING", "SUCCESS"]):
                run = {"status": status, "counts": {"total": 10, "success": cursor, "failed": 0}}
                message = f"heard as {params.get('Authorization')}"
                event = {"at": "2026-01-05T00:00:00Z", "status": status, "message": message, "run": run}
                yield {"runEvents": {"cursor": str(cursor), "events": [event]}}

        document, variables = parse(payload["query"]), payload.get("variables")
        async for result in subscribe(TOY_SCHEMA, document, {"runEvents": run_events}, None, variables):
            await ws.send_json({"id": id_, "type": "next", "payload": result.formatted})
            if variables and variables["runId"] == "endless":
                return
        await ws.send_json({"id": id_, "type": "complete"})

    def asked_for(self, name: str) -> list[str | None]:
        """The Authorization header of each request for an operation of this name."""
        return [authorization for asked, authorization in self.asked if asked == name]

    def health(self, _: Any) -> dict[str, Any]:
        return {"database": True, "redis": True, "workers": 2, "schedulerLagMs": 12}

    def mutations(self) -> dict[str, Any]:
        return {
            "login": lambda _, **given: self.session() if given["input"]["password"] == "right" else refused(),
            "refreshSession": lambda _, **__: self.session(),
            "logout": lambda _, **__: {"errors": []},
        }

    def session(self) -> dict[str, Any]:
        self.tokens_given += 1
        expires_at = datetime.now(UTC) + self.token_lives_for
        tokens = {"accessToken": f"access-{self.tokens_given}", "refreshToken": f"refresh-{self.tokens_given}"}
        return {
            "session": {**tokens, "expiresAt": expires_at.isoformat(), "user": {"username": "ada"}},
            "errors": [],
        }


def viewer(authorization: str | None) -> dict[str, str]:
    if authorization is None:
        raise GraphQLError("Sign in first.")
    return {"username": authorization}


def refused() -> dict[str, Any]:
    return {
        "session": None,
        "errors": [{"code": "BAD_CREDENTIALS", "message": "Email or password is wrong.", "path": ["input"]}],
    }


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A browser tab on the toy platform, with all that it asked of the network and every breach of a content policy."""

    page: Page
    api: ToyApi
    address: str
    asked: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        own = urlsplit(self.address).netloc
        urls = [urlsplit(url) for url in self.asked]
        return [url.geturl() for url in urls if url.scheme not in {"data", "blob"} and url.netloc != own]

    async def open_graphiql(self) -> None:
        await self.page.goto(f"{self.address}/graphql")
        await expect(self.page.get_by_text("Welcome to Data Phantom.")).to_be_visible(timeout=30_000)

    async def sign_in(self, *, password: str) -> None:
        await self.page.get_by_label("Email").fill("ada@example.com")
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_label("Password").press("Enter")

    async def write(self, editor: str, text: str) -> None:
        """Sets an editor's text at once: typed brackets would be doubled by its auto-closing."""
        script = "([name, text]) => __MONACO.editor.getModels().find(m => m.uri.path.endsWith(name)).setValue(text)"
        await self.page.evaluate(script, [editor, text])

    async def run(self) -> None:
        await self.page.get_by_role("button", name="Execute query").click()

    async def until_kept(self, token: str) -> None:
        """Wait until the page holds the token: before that, it sends the one that is still good."""
        for _ in range(1_000):
            if token in await self.page.evaluate("JSON.stringify(sessionStorage)"):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the page has not got the token {token}")

    async def expect_response(self, text: str) -> None:
        await expect(self.page.locator(".result-window")).to_contain_text(text)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        yield await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    api = ToyApi()
    async with serve(Starlette(routes=api.routes())) as address, await browser.new_context() as context:
        tab = Visit(page=await context.new_page(), api=api, address=address)
        context.on("request", lambda request: tab.asked.append(request.url))
        tab.page.on("websocket", lambda ws: tab.asked.append(ws.url.replace("ws", "http", 1)))
        await tab.page.expose_function("breached", lambda uri: tab.breaches.append(uri))  # noqa: PLW0108 - playwright marks it
        await tab.page.add_init_script("addEventListener('securitypolicyviolation', e => breached(e.blockedURI))")
        tab.page.on("pageerror", lambda error: tab.breaches.append(str(error)))
        yield tab


@asynccontextmanager
async def serve(app: Starlette) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def test_the_start_page_tells_the_platforms_health_and_gives_an_operation_to_copy(visit: Visit) -> None:
    page = visit.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(visit.address)
    for fact in "Database answers", "Redis answers", "2 workers", "Scheduler on time":
        await expect(page.get_by_text(fact)).to_be_visible()
    await page.get_by_role("button", name="Copy operation: Run a playground").click()
    await expect(page.get_by_text("Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert [definition.name.value for definition in parse(copied).definitions] == ["RunPlayground"]
    assert (visit.foreign, visit.breaches) == ([], [])


async def test_the_start_page_says_when_the_server_does_not_answer(visit: Visit) -> None:
    await visit.page.route("**/graphql", lambda route: route.abort())
    await visit.page.goto(visit.address)
    await expect(visit.page.get_by_role("status").first).to_contain_text("Check that Data Phantom is running")


async def test_graphiql_runs_a_query_without_asking_another_host_or_breaching_its_policy(visit: Visit) -> None:
    await visit.open_graphiql()
    await visit.run()
    await visit.expect_response('"workers": 2')
    await visit.page.get_by_role("button", name="Show Documentation Explorer").click()
    await expect(visit.page.get_by_role("link", name="Mutation")).to_be_visible()
    assert (visit.foreign, visit.breaches) == ([], [])


async def test_the_policy_refuses_every_other_host(visit: Visit) -> None:
    await visit.open_graphiql()
    elsewhere = "http://127.0.0.1:9/elsewhere"
    async with asyncio.timeout(10):
        refused = await visit.page.evaluate(ATTEMPTS_ELSEWHERE, elsewhere)
    assert sorted(refused) == [elsewhere, elsewhere, elsewhere, elsewhere.replace("http", "ws")]


async def test_signing_in_fails_in_words_and_then_goes_with_queries_and_subscriptions(visit: Visit) -> None:
    page = visit.page
    await visit.open_graphiql()
    await visit.sign_in(password="wrong")
    await expect(page.get_by_role("alert").filter(has_text="Email or password is wrong.")).to_be_visible()
    await expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    await visit.sign_in(password="right")
    await expect(page.get_by_text("Signed in as ada")).to_be_visible()
    await visit.write("operation.graphql", "query Who { viewer { username } }")
    await visit.run()
    await visit.expect_response('"username": "Bearer access-1"')
    await page.get_by_role("tab", name="RunEvents").click()
    await visit.run()
    await visit.expect_response("heard as Bearer access-1")
    await visit.expect_response('"cursor": "1"')
    assert (visit.foreign, visit.breaches) == ([], [])


async def test_a_session_survives_a_reload_and_ends_with_signing_out(visit: Visit) -> None:
    page = visit.page
    await visit.open_graphiql()
    await visit.sign_in(password="right")
    await expect(page.get_by_text("Signed in as ada")).to_be_visible()
    await page.reload()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Email")).to_be_visible()
    await expect(page.get_by_text("Welcome to Data Phantom.")).to_be_visible()
    await visit.run()
    await visit.expect_response('"workers": 2')
    assert await page.evaluate("sessionStorage.length") == 0
    assert visit.api.asked_for("Logout") == ["Bearer access-1"]
    assert visit.api.asked_for("Welcome") == [None]


async def test_a_typed_authorization_header_wins_over_the_session(visit: Visit) -> None:
    await visit.open_graphiql()
    await visit.sign_in(password="right")
    await expect(visit.page.get_by_text("Signed in as ada")).to_be_visible()
    await visit.write("request-headers.json", '{"authorization": "Bearer mine"}')
    await visit.write("operation.graphql", "query Who { viewer { username } }")
    await visit.run()
    await visit.expect_response('"username": "Bearer mine"')
    await visit.write("operation.graphql", 'subscription { runEvents(runId: "1") { events { message } } }')
    await visit.run()
    await visit.expect_response("heard as")
    assert visit.api.connection_params == [{"authorization": "Bearer mine"}]


async def test_a_session_is_refreshed_shortly_before_it_expires(visit: Visit) -> None:
    await visit.page.clock.install()
    await visit.open_graphiql()
    await visit.sign_in(password="right")
    await expect(visit.page.get_by_text("Signed in as ada")).to_be_visible()
    await visit.page.clock.fast_forward("58:00")
    assert visit.api.asked_for("RefreshSession") == []
    await visit.page.clock.fast_forward("01:05")
    await visit.until_kept("access-2")
    await visit.run()
    await visit.expect_response('"workers": 2')
    assert len(visit.api.asked_for("RefreshSession")) == 1
    assert visit.api.asked_for("Welcome") == ["Bearer access-2"]


async def test_a_subscription_goes_on_with_the_refreshed_token_and_ends_with_signing_out(visit: Visit) -> None:
    await visit.page.clock.install()
    await visit.open_graphiql()
    await visit.sign_in(password="right")
    await visit.page.get_by_role("tab", name="RunEvents").click()
    await visit.write("variables.json", '{"runId": "endless"}')
    await visit.run()
    await visit.expect_response("heard as Bearer access-1")
    await visit.page.clock.fast_forward("59:05")
    await visit.expect_response("heard as Bearer access-2")
    stop = visit.page.get_by_role("button", name="Stop query")
    await expect(stop).to_be_visible()
    await visit.page.get_by_role("button", name="Sign out").click()
    await expect(stop).to_be_hidden()
    assert [params["Authorization"] for params in visit.api.connection_params] == ["Bearer access-1", "Bearer access-2"]


async def test_a_session_that_expired_in_sleep_is_refreshed_by_the_next_request(visit: Visit) -> None:
    visit.api.token_lives_for = timedelta(seconds=-1)
    await visit.open_graphiql()
    await visit.sign_in(password="right")
    await expect(visit.page.get_by_text("Signed in as ada")).to_be_visible()
    visit.api.token_lives_for = timedelta(hours=1)
    await visit.run()
    await visit.expect_response('"workers": 2')
    assert visit.api.asked_for("Welcome")[0] not in {None, "Bearer access-1"}


async def test_a_server_that_breaks_every_socket_is_not_asked_for_ever(visit: Visit) -> None:
    visit.api.sockets_break = True
    await visit.open_graphiql()
    await visit.page.get_by_role("tab", name="RunEvents").click()
    await visit.run()
    await visit.expect_response("The connection broke, and could not be made again.")
    assert 1 < len(visit.api.connection_params) < 12
