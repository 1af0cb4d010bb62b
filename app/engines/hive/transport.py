"""How a connection to a HiveServer2 is made: by TCP or HTTP, with or without TLS and SASL, by impyla's transports."""

import contextlib
import logging
import socket
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

from app.engines.base import EngineError, TerminalEngineError
from app.engines.hive.errors import lost_connection

_MISSING = "Connections to Hive need a package that is not installed here: pip install 'data-phantom[hive]'."
_MISSING_KERBEROS = "Kerberos needs a package that is not installed here: pip install 'impyla[kerberos]'."
_CONNECT_MS = 10_000
# A peer that has vanished is noticed after a minute: 30 s of silence, and three probes.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_UNAUTHORISED = {401, 403}


class HiveAuth(StrEnum):
    NOSASL = "NOSASL"
    PLAIN = "PLAIN"
    LDAP = "LDAP"
    KERBEROS = "KERBEROS"


@dataclass(frozen=True, kw_only=True, slots=True)
class HiveAddress:
    """The server, the account, and how to come there; `http_path` where it speaks by HTTP."""

    host: str
    port: int = 10000
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: HiveAuth = HiveAuth.PLAIN
    kerberos_service: str = "hive"
    http_path: str | None = None
    tls: bool = False
    ca_certificate: str | None = None
    verify_certificate: bool = True

    @property
    def account(self) -> tuple[str, str]:
        """SASL wants a user and a password, even where the server looks at neither."""
        return self.user or "data-phantom", self.password or "none"

    @property
    def mechanism(self) -> str:
        return "GSSAPI" if self.auth is HiveAuth.KERBEROS else str(self.auth)


class Channel:
    """An open way to the server; `types` has the structures that travel on it.

    Raises, when it is made and by `call`: TransientEngineError, TerminalEngineError.
    """

    def __init__(self, address: HiveAddress) -> None:
        self._libraries = _Libraries()
        self.types = self._libraries.types
        self._socket: Any = None
        try:
            self._transport = self._open_http(address) if address.http_path else self._open_tcp(address)
        except ImportError as error:
            raise TerminalEngineError(_MISSING_KERBEROS, code="NOT_INSTALLED") from error
        self._client = self._libraries.client(self._transport)

    @property
    def is_closed(self) -> bool:
        """Whether the server has hung up, as far as that is known without asking."""
        return self._socket is not None and not self._socket.isOpen()

    def call(self, verb: str, *, patience_ms: int | None, **fields: Any) -> Any:
        """The server's answer; without patience it may take as long as the server lives."""
        (self._socket or self._transport).setTimeout(patience_ms)
        request = getattr(self.types, f"T{verb}Req")(**fields)
        try:
            return getattr(self._client, verb)(request)
        except self._libraries.failures as error:
            raise self._failure(verb, error) from error

    def shut(self) -> None:
        """Close, from any thread: a call that is on its way fails by that."""
        handle = None if self._socket is None else self._socket.handle
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()

    def _open_tcp(self, address: HiveAddress) -> Any:
        self._socket = self._libraries.socket(address)
        self._socket.setTimeout(_CONNECT_MS)
        try:
            self._socket.open()
        except self._libraries.failures as error:
            raise lost_connection(_reason(error)) from error
        _keep_alive(self._socket.handle)
        transport = self._libraries.api.get_transport(
            self._socket,
            address.host,
            address.kerberos_service,
            address.mechanism,
            *address.account,
        )
        if address.auth is HiveAuth.NOSASL:
            return transport
        try:
            transport.open()
        except self._libraries.failures as error:
            self.shut()
            if getattr(error, "type", None) == self._libraries.not_open:
                raise TerminalEngineError(f"The server refused the account: {error}", code="PERMISSION") from error
            raise lost_connection(f"{_reason(error)}; it may want another `auth` than {address.auth}") from error
        return transport

    def _open_http(self, address: HiveAddress) -> Any:
        transport = self._libraries.api.get_http_transport(
            address.host,
            address.port,
            http_path=address.http_path,
            use_ssl=address.tls,
            ca_cert=address.ca_certificate,
            verify_cert=address.verify_certificate,
            auth_mechanism=address.mechanism,
            user=address.account[0],
            password=address.account[1],
            kerberos_host=address.host,
            kerberos_service_name=address.kerberos_service,
        )
        transport.open()  # it connects anew for each call
        return transport

    def _failure(self, verb: str, error: Exception) -> EngineError:
        if isinstance(error, self._libraries.without_answer):
            return TerminalEngineError(
                f"The server failed at {verb} and does not say why: its log tells more. The session's settings may be"
                " the reason."
            )
        if getattr(error, "code", None) in _UNAUTHORISED:
            return TerminalEngineError(f"The server refused the account: {error}", code="PERMISSION")
        return lost_connection(_reason(error))


class _Libraries:
    """What is used of impyla and Thrift, imported when there is a server to speak to."""

    def __init__(self) -> None:
        try:
            self.types: Any = import_module("impala._thrift_gen.TCLIService.ttypes")
            self.api: Any = import_module("impala._thrift_api")
            self._service: Any = import_module("impala._thrift_gen.TCLIService.TCLIService")
            self._protocol: Any = import_module("thrift.protocol.TBinaryProtocol")
            self._sockets: Any = import_module("thrift.transport.TSocket")
            self._tls: Any = import_module("thrift.transport.TSSLSocket")
            thrift: Any = import_module("thrift.Thrift")
            transport: Any = import_module("thrift.transport.TTransport").TTransportException
            http: Any = import_module("impala.error").HttpError
        except ImportError as error:
            raise TerminalEngineError(_MISSING, code="NOT_INSTALLED") from error
        # Decoding fails in many ways where the other side is no HiveServer2.
        self.failures = (thrift.TException, http, OSError, EOFError, ValueError, TypeError)
        self.without_answer = thrift.TApplicationException
        self.not_open = transport.NOT_OPEN
        for name in ("thrift", "impala"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they log what they raise, with its traceback

    def client(self, transport: Any) -> Any:
        return self._service.Client(self._protocol.TBinaryProtocolAccelerated(transport))

    def socket(self, address: HiveAddress) -> Any:
        if not address.tls:
            return self._sockets.TSocket(address.host, address.port)
        context = ssl.create_default_context(cafile=address.ca_certificate)
        if not address.verify_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return self._tls.TSSLSocket(address.host, address.port, ssl_context=context)


def _keep_alive(handle: socket.socket) -> None:
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reason(error: Exception) -> str:
    inner = getattr(error, "inner", None)
    return f"{error}" if inner is None else f"{error} ({inner})"
