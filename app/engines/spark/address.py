"""Where a Spark Connect server is, and who asks: read from `sc://host:port/;token=…;use_ssl=true;user_id=…`."""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from app.engines.base import TerminalEngineError

DEFAULT_PORT = 15002
# Sessions belong to a user: every worker has to be the same one, to stop and to take over what another began.
DEFAULT_USER = "data-phantom"


@dataclass(frozen=True, kw_only=True, slots=True)
class SparkAddress:
    """`headers` go with every call, in lower case as gRPC wants them."""

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    user: str = DEFAULT_USER
    token: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> "SparkAddress":
        """Raises: TerminalEngineError."""
        parts = urlsplit(url.replace(";", "?", 1).replace("/?", "?", 1))
        pairs = [pair.partition("=") for pair in parts.query.split(";") if pair]
        options = {name: unquote(value) for name, _, value in pairs}
        if parts.scheme != "sc" or not parts.hostname or parts.path or not all(equals for _, equals, _ in pairs):
            raise TerminalEngineError(
                "This is no address of a Spark Connect server; write sc://host:15002/;token=…;use_ssl=true, of which"
                " the host alone is needed.",
                code="ADDRESS",
            )
        token = options.pop("token", None)
        own = {"use_ssl", "user_id", "user_agent", "session_id"}
        return cls(
            host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
            port=parts.port or DEFAULT_PORT,
            # A token is a secret, which the server's own clients send by TLS alone.
            tls=options.get("use_ssl", str(token is not None)).lower() == "true",
            user=options.get("user_id", DEFAULT_USER),
            token=token,
            headers=tuple((name.lower(), value) for name, value in options.items() if name not in own),
        )

    @property
    def target(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return self.headers + ((("authorization", f"Bearer {self.token}"),) if self.token else ())

    def url(self, session: str) -> str:
        """For a client of its own, which then is in this very session."""
        options = [("session_id", session), ("user_id", self.user), *self.headers]
        if self.tls:
            options.append(("use_ssl", "true"))
        if self.token:
            options.append(("token", self.token))
        return f"sc://{self.target}/;" + ";".join(f"{name}={quote(value, safe='')}" for name, value in options)
