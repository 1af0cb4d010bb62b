"""Where the platform listens: one connector for the application, one for health and metrics."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from app.settings.permitted import Permitted
from app.settings.section import CamelSection, cross_fault


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError("this is no network") from error


_NETWORK = Permitted("an address or a network, such as 10.0.0.5 or 10.0.0.0/24")
Network = Annotated[str, AfterValidator(_network), _NETWORK]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port, for tests


class HttpConnectorSettings(CamelSection):
    """A socket; TLS ends in a proxy before it, so `http` is the only type."""

    type: Literal["http"] = "http"
    port: Port
    bind_host: Annotated[str, Field(min_length=1, max_length=255)] = "0.0.0.0"  # noqa: S104  a server is there to be reached; the embedded mode binds the loopback


Connectors = Annotated[tuple[HttpConnectorSettings, ...], Field(min_length=1, max_length=1)]


class ServerSettings(CamelSection):
    """`trusted_proxies`: whose X-Forwarded-For and X-Forwarded-Proto are believed; a proxy on this machine is."""

    application_connectors: Connectors = (HttpConnectorSettings(port=9092),)
    admin_connectors: Connectors = (HttpConnectorSettings(port=9093),)
    trusted_proxies: tuple[Network, ...] = ("127.0.0.1", "::1")

    @property
    def application(self) -> HttpConnectorSettings:
        return self.application_connectors[0]

    @property
    def admin(self) -> HttpConnectorSettings:
        return self.admin_connectors[0]

    @model_validator(mode="after")
    def _ports_differ(self) -> "ServerSettings":
        if self.application.port and self.application.port == self.admin.port:
            raise cross_fault("adminConnectors", f"port {self.admin.port} is the application connector's port already")
        return self
