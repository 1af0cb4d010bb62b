"""The Presto and Trino engines that the settings describe."""

import ssl
from collections.abc import Mapping, Sequence

import httpx

from app.engines.presto.client import StatementClient
from app.engines.presto.dialect import Dialect
from app.engines.presto.engine import PrestoEngine
from app.engines.presto.session import PrestoSession
from app.settings import ConnectorSettings, PrestoConnectionSettings


def presto_engines(connector: ConnectorSettings) -> Sequence[PrestoEngine]:
    """Presto's before Trino's, each kind's unnamed one first."""
    return [
        presto_engine(name, server, dialect)
        for dialect, servers in ((Dialect.PRESTO, connector.presto_servers), (Dialect.TRINO, connector.trino_servers))
        for name, server in servers.items()
    ]


def presto_engine(name: str, server: PrestoConnectionSettings, dialect: Dialect) -> PrestoEngine:
    address = server.address
    user, _ = server.account
    single = {
        "Catalog": address.catalog,
        "Schema": address.schema,
        "Time-Zone": server.time_zone,
        "Client-Tags": ",".join(server.client_tags),
        "Client-Capabilities": dialect.capabilities,
    }
    return PrestoEngine(
        name=name,
        client=StatementClient(
            url=address.url,
            headers={dialect.header("User"): user, dialect.header("Source"): server.source, **_bearer(server)},
            auth=_auth(server),
            tls=None if server.certificate is None else ssl.create_default_context(cafile=server.certificate),
        ),
        session=PrestoSession(
            dialect=dialect,
            single={header: value for header, value in single.items() if value},
            named={"Session": dict(server.session_properties)},
        ),
    )


def _auth(server: PrestoConnectionSettings) -> httpx.Auth | None:
    user, password = server.account
    return None if password is None else httpx.BasicAuth(user.encode(), password.get_secret_value().encode())


def _bearer(server: PrestoConnectionSettings) -> Mapping[str, str]:
    token = server.access_token
    return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
