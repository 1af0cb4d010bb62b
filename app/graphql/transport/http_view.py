"""The /graphql endpoint over HTTP, after the GraphQL-over-HTTP specification."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

import orjson
from graphql import OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from app.graphql.transport.admission import Admission, Authenticate, MakeContext
from app.graphql.transport.documents import PreparedOperation, Refusal
from app.graphql.transport.execution import Answer, GraphQLExecutor
from app.graphql.transport.masking import plain_error
from app.graphql.transport.multipart import UploadLimits, declared_bytes, read_upload, too_large
from app.graphql.transport.negotiation import MediaType, is_named, preferred
from app.graphql.transport.requests import BadRequestError, GraphQLRequest, graphql_request, parse_json
from app.graphql.transport.sse import EventResponses
from app.graphql.transport.streams import EventStream

ALLOWED = "GET, HEAD, POST, OPTIONS"
UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})


class GraphQLHTTP:
    """An ASGI application for one route; cookies are not read, so no foreign page can act for a user."""

    def __init__(
        self,
        *,
        executor: GraphQLExecutor,
        authenticate: Authenticate,
        make_context: MakeContext,
        graphiql: Callable[[Request], Awaitable[Response]] | None = None,
        max_body_bytes: int = 2**20,
        upload_limits: UploadLimits | None = None,
        events: EventResponses | None = None,
    ) -> None:
        self._executor = executor
        self._authenticate = authenticate
        self._make_context = make_context
        self._graphiql = graphiql
        self._max_body_bytes = max_body_bytes
        self._upload_limits = upload_limits or UploadLimits()
        self._events = events or EventResponses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with AsyncExitStack() as uploads:
            try:
                answer = await self._respond(request, uploads)
            except ClientDisconnect:
                return
            except BadRequestError as error:
                answer = _refusal(request, error)
            except Exception as error:  # noqa: BLE001  # the process's edge: no client may see a traceback
                masked = self._executor.mask.exception(error, method=request.method)
                away = isinstance(error, UnavailableError)
                status = HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.INTERNAL_SERVER_ERROR
                answer = _json(request, {"errors": [masked]}, status)
            if isinstance(answer, Response):
                await answer(scope, receive, send)
            else:
                await self._events.serve(answer, receive, send)

    async def close(self) -> None:
        """Ends the open event streams; call it before the server stops."""
        await self._events.close()

    async def _respond(
        self, request: Request, uploads: AsyncExitStack
    ) -> Response | EventStream | AsyncGenerator[bytes, None]:
        if request.method in {"GET", "HEAD"}:
            page = is_named(request.headers.get("accept"), MediaType.HTML) and "query" not in request.query_params
            if self._graphiql is not None and page:
                return await self._graphiql(request)
        elif request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"allow": ALLOWED})
        elif request.method != "POST":
            raise BadRequestError(
                f"{request.method} is not served here: POST the operation as JSON.",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                headers={"allow": ALLOWED},
            )
        media_type = preferred(request.headers.get("accept"), *_OFFERS)
        if media_type is None:
            raise BadRequestError(
                f"None of the types that Accept lists can be sent; these can: {', '.join(_OFFERS)}.",
                status=HTTPStatus.NOT_ACCEPTABLE,
            )
        try:
            if request.method == "POST":
                parameters = await self._posted(request, uploads)
            else:
                parameters = _parameters_of_url(request)
            admission = await self._authenticate(request, None)
        except (UnauthenticatedError, ForbiddenError) as error:
            return self._not_admitted(request, error)
        return await self._run(request, parameters, admission, media_type)

    def _not_admitted(self, request: Request, error: Exception) -> Response:
        body = {"errors": [self._executor.mask.exception(error)]}
        if isinstance(error, ForbiddenError):
            return _json(request, body, HTTPStatus.FORBIDDEN)
        return _json(request, body, HTTPStatus.UNAUTHORIZED, {"www-authenticate": "Bearer"})

    async def _posted(self, request: Request, uploads: AsyncExitStack) -> GraphQLRequest:
        content_type, charset = _content_type(request)
        if content_type == "multipart/form-data":
            self._refuse_declared(request, self._upload_limits.max_body_bytes)
            if self._upload_limits.signed_in_only and (await self._authenticate(request, None)).viewer_key is None:
                raise UnauthenticatedError
            upload = await read_upload(request, limits=self._upload_limits)
            uploads.push_async_callback(upload.close)
            return upload.request
        encoding = request.headers.get("content-encoding", "identity").lower()
        if content_type != "application/json" or charset not in UTF_8 or encoding != "identity":
            raise BadRequestError(
                "Send the operation as Content-Type: application/json in UTF-8, not compressed"
                " (or multipart/form-data for uploads).",
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            )
        return graphql_request(parse_json(await self._body(request), what="The request's body"))

    async def _body(self, request: Request) -> bytes:
        self._refuse_declared(request, self._max_body_bytes)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise too_large(request, self._max_body_bytes)
        return bytes(body)

    def _refuse_declared(self, request: Request, max_bytes: int) -> None:
        if declared_bytes(request) > max_bytes:
            raise too_large(request, max_bytes)

    async def _run(
        self, request: Request, parameters: GraphQLRequest, admission: Admission, media_type: MediaType
    ) -> Response | EventStream | AsyncGenerator[bytes, None]:
        wants_events = media_type is MediaType.EVENTS
        prepared = self._executor.prepare(parameters.query, parameters.operation_name)
        if isinstance(prepared, Refusal):
            return self._answer({"errors": prepared.errors}, media_type)
        if request.method != "POST" and prepared.kind is not OperationType.QUERY:
            raise BadRequestError(
                f"A {prepared.kind.value} cannot be sent by {request.method}: use POST.",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                headers={"allow": "POST"},
            )
        if prepared.kind is OperationType.SUBSCRIPTION:
            if not wants_events and not is_named(request.headers.get("accept"), MediaType.EVENTS):
                raise BadRequestError(
                    "A subscription is served over WebSocket (subprotocol graphql-transport-ws) at this address,"
                    " or as events: send Accept: text/event-stream."
                )
            return await self._subscribe(request, parameters, admission, prepared)
        context = self._make_context(request, admission)
        answer = await self._executor.execute(prepared, variables=parameters.variables, context=context)
        return self._answer(answer, media_type)

    async def _subscribe(
        self, request: Request, parameters: GraphQLRequest, admission: Admission, prepared: PreparedOperation
    ) -> Response | EventStream | AsyncGenerator[bytes, None]:
        stream = await self._executor.open_stream(
            prepared,
            variables=parameters.variables,
            context_factory=lambda: self._make_context(request, admission),
            viewer_key=admission.viewer_key,
        )
        if isinstance(stream, Refusal):
            return self._answer({"errors": stream.errors}, MediaType.EVENTS)
        return stream

    def _answer(self, answer: Answer, media_type: MediaType) -> Response | AsyncGenerator[bytes, None]:
        body = self._executor.encode(answer)
        if media_type is MediaType.EVENTS:
            return _once(body)
        # By the specification application/json says 200 to every well-formed request, and the newer type says 400
        # to one that was not executed.
        refused = "data" not in answer and media_type is MediaType.GRAPHQL
        return _response(body, HTTPStatus.BAD_REQUEST if refused else HTTPStatus.OK, media_type)


_OFFERS = (MediaType.GRAPHQL, MediaType.JSON, MediaType.EVENTS)


async def _once(payload: bytes) -> AsyncGenerator[bytes, None]:
    yield payload


def _content_type(request: Request) -> tuple[str, str]:
    content_type, *parameters = (part.strip() for part in request.headers.get("content-type", "").lower().split(";"))
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            charset = value.strip().strip('"')
    return content_type, charset


def _parameters_of_url(request: Request) -> GraphQLRequest:
    parameters: dict[str, Any] = dict(request.query_params)
    for key in ("variables", "extensions"):
        if parameters.get(key):
            parameters[key] = parse_json(parameters[key], what=f"The parameter `{key}`")
        else:
            parameters.pop(key, None)
    return graphql_request(parameters, what="The address")


def _refusal(request: Request, error: BadRequestError) -> Response:
    return _json(request, {"errors": [plain_error(error.code, error.message)]}, error.status, error.headers)


def _json(
    request: Request, body: dict[str, Any], status: HTTPStatus, headers: dict[str, str] | None = None
) -> Response:
    accepted = preferred(request.headers.get("accept"), MediaType.GRAPHQL, MediaType.JSON)
    return _response(orjson.dumps(body), status, accepted or MediaType.JSON, headers)


def _response(
    body: bytes, status: HTTPStatus, media_type: MediaType, headers: dict[str, str] | None = None
) -> Response:
    fixed = {
        "content-type": f"{media_type}; charset=utf-8",
        "cache-control": "no-store",
        "vary": "Accept",
        "x-content-type-options": "nosniff",
    }
    return Response(body, status_code=status, headers=fixed | (headers or {}))
