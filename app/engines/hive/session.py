"""A session of the server for one attempt: it dies with its connection until it is untied from it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Concatenate, ParamSpec, Self, TypeVar

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError
from app.engines.hive.connections import HiveConnection, HiveConnections
from app.engines.hive.handles import Operation, ServerKey
from app.engines.hive.wire import HiveWire, OperationState

P = ParamSpec("P")
T = TypeVar("T")

_RECONNECTS = (0.1, 0.5, 1.0, 2.0, 4.0)  # seconds before each: a server that restarts has forgotten its sessions anyway
_PAUSE = 0.02  # where the server does not wait itself


class HiveSession:
    """Whoever has opened or joined it closes it.

    A server ends the session that was last opened on a connection when that connection drops, and every query of the
    session with it: so nothing goes on that nobody knows of. Once another process could go on with the work, `untie`
    opens and closes a second session on the same connection, which leaves the first one to itself.
    """

    def __init__(
        self, *, connections: HiveConnections, connection: HiveConnection, key: ServerKey, is_tied: bool
    ) -> None:
        self.key = key
        self.is_tied = is_tied
        self._connections = connections
        self._connection = connection
        self._open = True
        self._untying: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, connections: HiveConnections, settings: Mapping[str, str]) -> Self:
        """Raises: TransientEngineError, TerminalEngineError."""
        connection = await connections.acquire()
        try:
            key = await connection.call(HiveWire.open_session, settings)
        except BaseException:
            connections.release(connection)
            raise
        return cls(connections=connections, connection=connection, key=key, is_tied=True)

    @classmethod
    async def join(cls, connections: HiveConnections, key: ServerKey) -> Self:
        """A session that another process has opened; whether it is still there shows at the first call."""
        return cls(connections=connections, connection=await connections.acquire(), key=key, is_tied=False)

    async def begin(self, text: str) -> Operation:
        return await self._connection.call(HiveWire.execute, self.key, text)

    async def run(self, text: str) -> None:
        """Run a statement whose rows nobody wants."""
        operation = await self.begin(text)
        while True:
            status = await self.ask(HiveWire.status, operation)
            match status.state:
                case OperationState.FAILED | OperationState.CANCELLED:
                    raise status.error or TerminalEngineError("The statement was stopped in the server.", code="KILLED")
                case OperationState.FINISHED:
                    await self.ask(HiveWire.close_operation, operation)
                    return
                case OperationState.RUNNING:
                    await asyncio.sleep(_PAUSE)

    async def ask(self, verb: Callable[Concatenate[HiveWire, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may be called twice: where the connection is lost and the session is not, on a new connection."""
        try:
            return await self._connection.call(verb, *args, **kwargs)
        except TransientEngineError:
            if self.is_tied or self._connection.is_usable:
                raise
        for pause in _RECONNECTS[:-1]:
            with suppress(TransientEngineError):
                return await self._ask_anew(pause, verb, *args, **kwargs)
        return await self._ask_anew(_RECONNECTS[-1], verb, *args, **kwargs)

    async def fetch_once(self, verb: Callable[Concatenate[HiveWire, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what must not be called twice."""
        return await self._connection.call(verb, *args, **kwargs)

    async def untie(self) -> None:
        """Once begun it is done, whoever gives up waiting for it."""
        if self.is_tied:
            self._untying = self._untying or asyncio.create_task(self._untie())
            await asyncio.shield(self._untying)

    async def close(self) -> None:
        """End the session in the server, as far as it can be reached; a tied one ends with its connection at worst."""
        if not self._open:
            return
        self._open = False
        try:
            if self._connection.is_usable:
                with suppress(EngineError):
                    await self._connection.call(HiveWire.close_session, self.key)
            elif not self.is_tied:
                with suppress(EngineError):
                    async with self._connections.beside() as connection:
                        await connection.call(HiveWire.close_session, self.key)
        finally:
            self._connections.release(self._connection)

    def leave(self) -> None:
        """Let go of the session: a tied one ends, another goes on for whoever has its key."""
        if self._open:
            self._open = False
            self._connection.shut()
            self._connections.release(self._connection)

    def shut(self) -> None:
        """End a call that does not return; the session is to be closed all the same."""
        self._connection.shut()

    async def _untie(self) -> None:
        second = await self._connection.call(HiveWire.open_session, {})
        await self._connection.call(HiveWire.close_session, second)
        self.is_tied = False

    async def _ask_anew(
        self, pause: float, verb: Callable[Concatenate[HiveWire, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        await asyncio.sleep(pause)
        if not self._connection.is_usable:
            self._connection.shut()
            self._connection = await self._connections.connect()
        return await self._connection.call(verb, *args, **kwargs)
