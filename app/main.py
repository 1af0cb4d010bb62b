"""The HTTP application: GraphQL over HTTP and websocket, pages and downloads, from one process's context."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from app.context import ProcessContext
from app.domain.errors import UnauthenticatedError
from app.graphql.context import Rejected, RequestContext
from app.graphql.schema import build_schema
from app.graphql.transport.admission import Admission, Authenticate, bearer_token
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.http_view import GraphQLHTTP
from app.graphql.transport.limits import Limits
from app.graphql.transport.multipart import UploadLimits
from app.graphql.transport.websocket import GraphQLWebSocket, SocketLimits
from app.services.accounts import AccountService
from app.settings import GraphqlSettings, Settings
from app.web.downloads import download_route
from app.web.health import admin_app
from app.web.pages import graphiql_response, page_routes
from app.web.reports import report_route
from app.web.server import WebServer

LIST_SIZES = {"Playground.tasks": 30, "Playground.dependencies": 30, "Run.taskRuns": 30, "RunEventBatch.events": 20}

FORM_BYTES = 2 * 2**20  # of an upload beside its file


@dataclass(frozen=True, kw_only=True)
class Application:
    """The ASGI application and the two endpoints that hold connections open."""

    asgi: Starlette
    http: GraphQLHTTP
    websocket: GraphQLWebSocket

    async def let_go(self) -> None:
        """End what would hold up a stop: event streams and sockets."""
        await self.http.close()
        self.websocket.close()


def create_app(process: ProcessContext) -> Application:
    settings, services = process.settings, process.services
    executor = GraphQLExecutor(
        schema=build_schema(), limits=_limits(settings.graphql), timeout=settings.graphql.execution_timeout
    )
    authenticate = _authenticator(services.accounts)

    def make_context(_connection: HTTPConnection, admission: Admission) -> RequestContext:
        if isinstance(admission.viewer, Rejected):
            return RequestContext(services=services, viewer=None, rejected=admission.viewer)
        return RequestContext(services=services, viewer=admission.viewer)

    async def graphiql(_request: Request) -> Response:
        return graphiql_response()

    http = GraphQLHTTP(
        executor=executor,
        authenticate=authenticate,
        make_context=make_context,
        graphiql=graphiql if settings.graphql.graphiql else None,
        max_body_bytes=settings.graphql.max_body_bytes,
        upload_limits=_upload_limits(settings),
    )
    websocket = GraphQLWebSocket(
        executor=executor,
        authenticate=authenticate,
        make_context=make_context,
        limits=SocketLimits(
            max_operations=settings.graphql.max_subscriptions_per_socket,
            max_sockets_per_viewer=settings.graphql.max_sockets_per_user,
            initialisation_seconds=settings.graphql.connection_init_timeout.total_seconds(),
            ping_seconds=settings.graphql.keepalive_interval.total_seconds(),
            stall_seconds=settings.graphql.slow_client_timeout.total_seconds(),
        ),
    )
    asgi = Starlette(
        routes=[
            Route("/graphql", http),
            WebSocketRoute("/graphql", websocket),
            download_route(downloads=services.downloads, outputs=services.outputs),
            report_route(services.reports),
            *page_routes(),
        ],
        middleware=_cors(settings.web.cors_origins),
    )
    return Application(asgi=asgi, http=http, websocket=websocket)


class Servers:
    """The application's and the admin's server of one process."""

    def __init__(self, process: ProcessContext) -> None:
        server = process.settings.server
        application = create_app(process)
        self.api = WebServer(
            application.asgi,
            host=server.application.bind_host,
            port=server.application.port,
            trusted_proxies=server.trusted_proxies,
            let_go=application.let_go,
        )
        self.admin = WebServer(admin_app(process.services.health), host=server.admin.bind_host, port=server.admin.port)

    async def start(self) -> None:
        """Raises: app.web.server.ServerStartError, in words."""
        await self.api.start()
        try:
            await self.admin.start()
        except BaseException:
            await self.api.stop()
            raise
        # What was imported and built stays for good. Looking through it again and again for garbage would hold up
        # every hundredth answer for a tenth of a second.
        gc.collect()
        gc.freeze()

    async def stop(self) -> None:
        await self.api.stop()
        await self.admin.stop()
        gc.unfreeze()  # what is never looked at again counts as leaked when the process ends, and DuckDB would say so


def _authenticator(accounts: AccountService) -> Authenticate:
    async def authenticate(connection: HTTPConnection, payload: Mapping[str, Any] | None) -> Admission:
        token = bearer_token(connection, payload)
        if token is None:
            return Admission()
        try:
            viewer = await accounts.authenticate(token)
        except UnauthenticatedError as error:
            if payload is not None:
                raise  # a socket is for what wants a token
            return Admission(viewer=Rejected(reason=str(error)))  # a client may send the old one to refreshSession
        return Admission(viewer=viewer, viewer_key=viewer.user_id, expires_at=viewer.expires_at)

    return authenticate


def _limits(settings: GraphqlSettings) -> Limits:
    return Limits(
        max_tokens=settings.max_tokens,
        max_depth=settings.max_depth,
        max_aliases=settings.max_aliases,
        page_size=settings.default_page_size,
        max_page_size=settings.max_page_size,
        list_sizes=LIST_SIZES,
    )


def _upload_limits(settings: Settings) -> UploadLimits:
    """A form has room for the largest JAR and for what is said of it, so that one setting is enough to raise."""
    jar = settings.udfs.max_jar_size + FORM_BYTES
    return UploadLimits(max_body_bytes=max(settings.graphql.max_upload_bytes, jar), signed_in_only=True)


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "graphql-require-preflight"],
        )
    ]
