"""The /graphql endpoint over WebSocket, speaking graphql-transport-ws."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime

from graphql import OperationType
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from app.domain.errors import ForbiddenError, UnauthenticatedError
from app.graphql.transport.admission import Admission, Authenticate, MakeContext
from app.graphql.transport.channel import Channel, channel_of
from app.graphql.transport.documents import PreparedOperation, Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.masking import TransportCode, plain_error
from app.graphql.transport.messages import (
    ACKNOWLEDGED,
    PING,
    SUBPROTOCOL,
    CloseCode,
    Complete,
    Init,
    Ping,
    Pong,
    ProtocolViolationError,
    Subscribe,
    closing_reason,
    complete_message,
    error_message,
    next_prefix,
    parse_message,
    pong,
)
from app.graphql.transport.requests import GraphQLRequest
from app.graphql.transport.streams import Form, StreamFailedError


@dataclass(frozen=True, kw_only=True)
class SocketLimits:
    """What one socket and one user may hold, and how long the server waits for either."""

    max_operations: int = 100
    max_sockets_per_viewer: int = 50
    initialisation_seconds: float = 5.0
    stall_seconds: float = 10.0  # a client that took nothing for so long is dropped
    ping_seconds: float = 25.0
    mutation_grace_seconds: float = 10.0


class GraphQLWebSocket:
    """An ASGI application for one websocket route."""

    def __init__(
        self,
        *,
        executor: GraphQLExecutor,
        authenticate: Authenticate,
        make_context: MakeContext,
        limits: SocketLimits | None = None,
    ) -> None:
        self._executor = executor
        self._authenticate = authenticate
        self._make_context = make_context
        self._limits = limits or SocketLimits()
        self._sockets_of: Counter[Hashable] = Counter()
        self._sessions: set[_Session] = set()

    @property
    def open_sockets(self) -> int:
        return len(self._sessions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        is_spoken = SUBPROTOCOL in websocket.scope.get("subprotocols", [])
        await websocket.accept(SUBPROTOCOL if is_spoken else None)
        channel = channel_of(scope, send)
        session = _Session(self, websocket, channel)
        self._sessions.add(session)
        try:
            await session.run(is_spoken=is_spoken)
        finally:
            self._sessions.discard(session)
            channel.release()

    def close(self) -> None:
        """Tells every client that the server goes away; they reconnect elsewhere."""
        for session in list(self._sessions):
            session.close(CloseCode.GOING_AWAY, "The server is stopping")


class _Session:
    """One socket from its acceptance to its end."""

    def __init__(self, endpoint: GraphQLWebSocket, websocket: WebSocket, channel: Channel) -> None:
        self._endpoint = endpoint
        self._executor = endpoint._executor  # noqa: SLF001  # the session is the endpoint's other half
        self._limits = endpoint._limits  # noqa: SLF001
        self._websocket = websocket
        self._channel = channel
        self._admission: Admission | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._mutations: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._loop = asyncio.get_running_loop()

    def close(self, code: CloseCode, reason: str) -> None:
        self._channel.close(code, closing_reason(reason))

    async def run(self, *, is_spoken: bool) -> None:
        if not is_spoken:
            self.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Subprotocol not acceptable: speak {SUBPROTOCOL}")
        limit = self._limits.initialisation_seconds
        timeout = self._loop.call_later(
            limit, self.close, CloseCode.INITIALISATION_TIMEOUT, "Connection initialisation timeout"
        )
        self._timers.append(timeout)
        try:
            while (event := await self._websocket.receive())["type"] != "websocket.disconnect":
                await self._take(event.get("text"))
                if self._channel.is_congested:
                    await self._drains()  # pongs and errors pile up as well: who does not read is not heard
        finally:
            await self._end()

    async def _take(self, text: str | None) -> None:
        try:
            match parse_message(text):
                case Init() as message:
                    await self._initialise(message)
                case Ping(payload=payload):
                    self._channel.write(pong(payload))
                case Pong():
                    pass
                case Subscribe() as message:
                    self._subscribe(message)
                case Complete(id=id_):
                    self._cancel(id_)
        except ProtocolViolationError as violation:
            self.close(violation.code, violation.reason)

    async def _initialise(self, message: Init) -> None:
        if self._admission is not None:
            raise ProtocolViolationError("Too many initialisation requests", CloseCode.TOO_MANY_REQUESTS)
        try:
            admission = await self._endpoint._authenticate(self._websocket, message.payload)  # noqa: SLF001
        except UnauthenticatedError as error:
            raise ProtocolViolationError(str(error) or "Unauthorized", CloseCode.UNAUTHORIZED) from error
        except ForbiddenError as error:
            raise ProtocolViolationError(str(error) or "Forbidden", CloseCode.FORBIDDEN) from error
        except Exception as error:  # the process's edge: the client is told that it is not its fault
            masked = self._executor.mask.exception(error)
            raise ProtocolViolationError(masked["message"], CloseCode.INTERNAL) from error
        self._cancel_timers()  # of the initialisation, which ends here and not before: authenticating may hang
        self._count(admission)
        self._admission = admission
        if admission.expires_at is not None:
            seconds = max(0.0, (admission.expires_at - datetime.now(UTC)).total_seconds())
            self._timers.append(self._loop.call_later(seconds, self.close, CloseCode.FORBIDDEN, "Token expired"))
        self._channel.write(ACKNOWLEDGED)
        self._timers.append(self._loop.call_later(self._limits.ping_seconds, self._ping))

    def _count(self, admission: Admission) -> None:
        if admission.viewer_key is None:
            return
        sockets = self._endpoint._sockets_of  # noqa: SLF001
        if sockets[admission.viewer_key] >= self._limits.max_sockets_per_viewer:
            most = self._limits.max_sockets_per_viewer
            raise ProtocolViolationError(
                f"Too many connections: close one of your {most} first", CloseCode.TOO_MANY_REQUESTS
            )
        sockets[admission.viewer_key] += 1

    def _ping(self) -> None:
        self._channel.write(PING)
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self._timers.append(self._loop.call_later(self._limits.ping_seconds, self._ping))

    def _subscribe(self, message: Subscribe) -> None:
        admission = self._admission
        if admission is None:
            raise ProtocolViolationError("Unauthorized: send connection_init first", CloseCode.UNAUTHORIZED)
        if message.id in self._operations:
            raise ProtocolViolationError(f"Subscriber for {message.id} already exists", CloseCode.SUBSCRIBER_EXISTS)
        if len(self._tasks) >= self._limits.max_operations:
            text = f"More than {self._limits.max_operations} operations on one socket: complete one first."
            error = plain_error(TransportCode.TOO_MANY_OPERATIONS, text)
            self._channel.write(error_message(message.id, [error]))
            return
        task = asyncio.create_task(self._operate(message.id, message.request, admission))
        self._operations[message.id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _operate(self, id_: str, request: GraphQLRequest, admission: Admission) -> None:
        try:
            errors = await self._answer(id_, request, admission)
        except StreamFailedError as failure:
            errors = [failure.error]
        except Exception as error:  # noqa: BLE001  # the process's edge: one operation fails, the socket lives
            errors = [self._executor.mask.exception(error)]
        if self._is_wanted(id_):
            del self._operations[id_]
            self._channel.write(error_message(id_, errors) if errors else complete_message(id_))

    async def _answer(self, id_: str, request: GraphQLRequest, admission: Admission) -> list[dict[str, object]]:
        """Sends all results and gives the errors to end with: none is a completion."""
        prepared = self._executor.prepare(request.query, request.operation_name)
        if isinstance(prepared, Refusal):
            return prepared.errors
        if prepared.kind is OperationType.SUBSCRIPTION:
            return await self._follow(id_, request, admission, prepared)
        if prepared.kind is OperationType.MUTATION and (task := asyncio.current_task()):
            self._mutations.add(task)
            task.add_done_callback(self._mutations.discard)
        context = self._endpoint._make_context(self._websocket, admission)  # noqa: SLF001
        answer = await self._executor.execute(prepared, variables=request.variables, context=context)
        if "data" not in answer:
            return list(answer["errors"])
        frame = next_prefix(id_) + self._executor.encode(answer) + b"}"
        while self._channel.is_congested:
            await self._drains()
        if self._is_wanted(id_):
            self._channel.write(frame)
        return []

    async def _follow(
        self, id_: str, request: GraphQLRequest, admission: Admission, prepared: PreparedOperation
    ) -> list[dict[str, object]]:
        stream = await self._executor.open_stream(
            prepared,
            variables=request.variables,
            context_factory=lambda: self._endpoint._make_context(self._websocket, admission),  # noqa: SLF001
            viewer_key=admission.viewer_key,
        )
        if isinstance(stream, Refusal):
            return stream.errors
        try:
            await stream.run(_Outlet(channel=self._channel, id_=id_, drains=self._drains))
        finally:
            await stream.aclose()
        return []

    async def _drains(self) -> None:
        """Waits for a client that reads slowly, so that no more than one message piles up; drops one that is stuck."""
        unsent_bytes = self._channel.backlog_bytes
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._channel.drained()
        except TimeoutError:
            if self._channel.backlog_bytes >= unsent_bytes:
                reason = "Too slow: messages were not read in time; reconnect with the last cursor"
                self.close(CloseCode.TRY_AGAIN_LATER, reason)
                self._cancel_operations()

    def _is_wanted(self, id_: str) -> bool:
        return self._operations.get(id_) is asyncio.current_task()

    def _cancel(self, id_: str) -> None:
        task = self._operations.pop(id_, None)
        # A mutation is not cut in two: it runs to its end, and its answer is dropped.
        if task is not None and task not in self._mutations:
            task.cancel()

    def _cancel_operations(self) -> None:
        self._operations.clear()
        for task in self._tasks - self._mutations:
            task.cancel()

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _end(self) -> None:
        self._cancel_timers()
        self._cancel_operations()
        if self._admission is not None and self._admission.viewer_key is not None:
            sockets = self._endpoint._sockets_of  # noqa: SLF001
            sockets[self._admission.viewer_key] -= 1
            sockets += Counter()  # drops the zeros, or the counter would remember every viewer for ever
        if self._mutations:
            await asyncio.wait(self._mutations, timeout=self._limits.mutation_grace_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Outlet:
    """One operation's way to its client: ready frames, and the wait for one that reads slowly."""

    __slots__ = ("_channel", "_drains", "_failure", "_key", "_prefix")

    def __init__(self, *, channel: Channel, id_: str, drains: Callable[[], Awaitable[None]]) -> None:
        self._channel = channel
        self._drains = drains
        self._prefix = next_prefix(id_)
        self._key = f"{channel.kind} {id_}"
        self._failure: StreamFailedError | None = None

    def tell(self, form: Form) -> bool:
        if isinstance(form, StreamFailedError):
            self._failure = form
            return False
        frame = form.frames.get(self._key)
        if frame is None:
            frame = form.frames[self._key] = self._channel.framed(self._prefix + form.text + b"}")
        return self._channel.offer(frame)

    async def ready(self) -> None:
        if self._failure is not None:
            raise self._failure
        while self._channel.is_congested:
            await self._drains()
