"""Redis or Valkey: the queue and the doorbell."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer

from app.settings.permitted import Permitted
from app.settings.secret_url import SecretUrl
from app.settings.section import Section

DEFAULT_REDIS = "redis://localhost:6379/0"


def _readable(url: SecretUrl) -> SecretUrl:
    parts = urlsplit(url.get_secret_value())
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    place = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not place or not port_is_fine:
        raise ValueError("this is no URL of a Redis server")
    return url


RedisUrl = Annotated[
    SecretUrl,
    AfterValidator(_readable),
    PlainSerializer(str, when_used="json"),
    Permitted("redis://[user:password@]host:6379/0, rediss:// for TLS, or unix:///path/of/socket"),
]


class RedisSettings(Section):
    """Without a URL the embedded mode starts a server of its own; a file that says nothing means `DEFAULT_REDIS`."""

    url: RedisUrl | None = None
