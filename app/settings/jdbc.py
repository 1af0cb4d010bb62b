"""JDBC URLs of MariaDB and MySQL, read into the parts that SQLAlchemy and asyncmy want."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT = 3306
_SCHEMES = {"mariadb": "mariadb+asyncmy", "mysql": "mysql+asyncmy"}

# The options of the JDBC drivers that mean something to asyncmy; all others concern Java alone and change nothing here.
_TLS_OPTIONS = ("sslmode", "usessl", "requiressl", "verifyservercertificate", "trustservercertificate")
USED_OPTIONS = frozenset(
    {*_TLS_OPTIONS, "connecttimeout", "sockettimeout", "localsocket", "serversslcert", "user", "password"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JdbcUrl:
    """The parts of a JDBC URL; the names of `options` are in lower case."""

    driver: str
    host: str
    port: int
    database: str | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_jdbc_url(url: str) -> JdbcUrl:
    """Read the URL. Raises: ValueError, without the URL's text in it, for it may hold a password."""
    kind, _, rest = url.removeprefix("jdbc:").partition(":")
    if kind not in _SCHEMES or not rest.startswith("//"):
        raise ValueError("a JDBC URL starts with jdbc:mariadb:// or jdbc:mysql://")
    parts = urlsplit(rest)
    if "," in parts.netloc:
        raise ValueError("several hosts in one URL are not supported; name one, or a proxy before them")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("its port is no number from 1 to 65535") from None
    if not parts.hostname:
        raise ValueError("it names no host")
    options = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    return JdbcUrl(
        driver=_SCHEMES[kind],
        host=parts.hostname,
        port=port,
        database=unquote(parts.path.removeprefix("/")) or None,
        user=options.get("user") or (unquote(parts.username) if parts.username else None),
        password=options.get("password") or (unquote(parts.password) if parts.password else None),
        options=options,
    )


def connect_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `asyncmy.connect` that the JDBC options ask for. Raises: ValueError, OSError (certificates)."""
    arguments: dict[str, Any] = {}
    if timeout := _milliseconds(options, "connecttimeout"):
        arguments["connect_timeout"] = timeout
    if timeout := _milliseconds(options, "sockettimeout"):
        arguments["read_timeout"] = timeout
    if socket := options.get("localsocket"):
        arguments["unix_socket"] = socket
    if context := _tls(options):
        arguments["ssl"] = context
    return arguments


def _milliseconds(options: Mapping[str, str], name: str) -> float | None:
    text = options.get(name, "")
    if text and not text.isdigit():
        raise ValueError(f"its option {name} is no number of milliseconds")
    return int(text or 0) / 1000 or None


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | None:
    """TLS as asked for by sslMode (both drivers), or by the older useSSL and its kin."""
    asked = options.get("sslmode", "").lower().replace("-", "_")
    if asked in {"", "disable", "disabled", "prefer", "preferred"}:
        wanted = "true" in {options.get("usessl", "").lower(), options.get("requiressl", "").lower()}
        if asked or not wanted:
            return None
        checked = options.get("verifyservercertificate", "").lower() == "true"
        asked = "verify_ca" if checked else "required"
    if asked not in {"trust", "required", "verify_ca", "verify_identity", "verify_full"}:
        raise ValueError("its option sslMode is none of disable, trust, required, verify-ca, verify-full")
    context = ssl.create_default_context(cafile=options.get("serversslcert") or None)
    context.check_hostname = asked in {"verify_identity", "verify_full"}
    if asked in {"trust", "required"} or options.get("trustservercertificate", "").lower() == "true":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
