"""One HTTP and WebSocket server inside an event loop that the caller runs; signals are the caller's, too."""

import asyncio
import errno
import resource
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.web.protocols import HTTPProtocol, WebSocketProtocol

LATE_SECONDS = 1.0  # for the request of a connection that was opened just before the stop


class ServerStartError(Exception):
    """The server cannot listen; the message says what to do."""


async def _nothing() -> None:
    return


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, let_go: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._let_go = let_go

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # several servers share one loop, and whoever runs it handles the signals

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer what is under way, and only then close the rest.

        Alone, uvicorn closes a connection whose request it has not read yet: a balancer in front then has sent it, and
        must not send it again elsewhere. And who is let go before the port is closed may come straight back.
        """
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_SECONDS):
                while self._expects_request():  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.01)
        await self._let_go()
        await super().shutdown(sockets)

    def _expects_request(self) -> bool:
        connections = self.server_state.connections
        return any(isinstance(each, HTTPProtocol) and each.awaits_first_request for each in connections)


class WebServer:
    """Serves one application on one port; `let_go` ends what would hold up a stop, once nobody can come back to it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int,
        graceful_seconds: int = 10,
        trusted_proxies: Sequence[str] = (),
        let_go: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._host = host
        self._port = port
        config = server_config(app, graceful_seconds=graceful_seconds, trusted_proxies=trusted_proxies)
        self._server = _Server(config, let_go=let_go)
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the real one, where 0 was asked for."""
        return self._port

    async def start(self) -> None:
        """Returns once connections are accepted; raises ServerStartError."""
        _permit_many_connections()
        sockets = await _listen(self._host, self._port)
        self._port = sockets[0].getsockname()[1]
        self._serving = asyncio.create_task(self._serve(sockets))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise ServerStartError("The application ended while it was starting.")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Closes sockets with 1012, lets requests end within the grace, and returns when all is closed."""
        if self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        tasks = self._server.server_state.tasks
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _serve(self, sockets: list[socket.socket]) -> None:
        try:
            await self._server.serve(sockets=sockets)
        except SystemExit as error:  # uvicorn ends the process where an application fails to start
            raise ServerStartError("The application failed to start; its log says why.") from error
        finally:
            for each in sockets:
                each.close()


def server_config(app: ASGIApp, *, graceful_seconds: int = 10, trusted_proxies: Sequence[str] = ()) -> uvicorn.Config:
    """Gives the configuration that every server of the platform has.

    `trusted_proxies` are addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    return uvicorn.Config(
        app,
        http=HTTPProtocol,
        ws=WebSocketProtocol,
        ws_per_message_deflate=False,  # small messages: it costs a third of the CPU and 300 kB a socket
        ws_max_size=262_144,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="auto",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=graceful_seconds,
    )


def _permit_many_connections() -> None:
    """A process may have as many open files as the system permits it; what it starts with is often 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _listen(host: str, port: int) -> list[socket.socket]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ServerStartError(f"'{host}' is no address of this machine: {error.strerror}.") from error
    addresses: list[tuple[int, Any]] = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses if port else addresses[:1]:
            sockets.append(_bound(family, address))
    except OSError as error:
        for each in sockets:
            each.close()
        raise ServerStartError(_in_words(error, host, port)) from error
    return sockets


def _bound(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.settimeout(0)
        listener.bind(address)
        listener.listen(2048)  # at once, or a port that another program listens on would seem free
    except OSError:
        listener.close()
        raise
    return listener


def _in_words(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program: stop it, or choose another port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user: choose one above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"'{host}' is no address of this machine."
    return f"Port {port} on {host} cannot be opened: {error.strerror}."
