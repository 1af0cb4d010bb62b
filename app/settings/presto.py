"""Presto and Trino servers: where they are, as whom they are asked, and what every session of a task starts with."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, StringConstraints, model_validator

from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.secret_url import SecretUrl
from app.settings.section import Section, cross_fault

_PLAIN = {"presto", "trino", "http"}
_PORTS = {"presto": 8080, "trino": 8080, "http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class PrestoAddress:
    """The server's URL without account and path, and where a session starts."""

    url: str
    catalog: str | None = None
    schema: str | None = None
    user: str | None = None
    password: SecretStr | None = None

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https:")


def read_presto_address(url: str) -> PrestoAddress:
    """Read a URL. Raises: ValueError, without the URL in it."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("it does not start with presto://, trino://, http:// or https://")
    if not parts.hostname:
        raise ValueError("it names no host")
    if parts.query or parts.fragment:
        raise ValueError("options do not belong into it: session_properties and its kin are keys of their own")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError("its port is no number from 1 to 65535") from None
    catalog, separator, schema = parts.path.strip("/").partition("/")
    if "/" in schema or (separator and not schema):
        raise ValueError("after the host there is a catalogue and a schema at most: /catalog/schema")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return PrestoAddress(
        url=f"{'http' if parts.scheme in _PLAIN else 'https'}://{host}:{port}",
        catalog=unquote(catalog) or None,
        schema=unquote(schema) or None,
        user=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
    )


def _readable(url: SecretUrl) -> SecretUrl:
    read_presto_address(url.get_secret_value())
    return url


PrestoUrl = Annotated[
    SecretUrl,
    AfterValidator(_readable),
    PlainSerializer(str, when_used="json"),
    Permitted("presto://host:8080/catalog/schema, trino://…, or https://… for TLS"),
]
# What a header can carry; names and tags are parted by commas there.
_Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Tag = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f,]+$"), Permitted("a word without a comma or blank")]
_Property = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$"),
    Permitted("the name of a session property, such as query_max_run_time or hive.insert_existing_partitions_behavior"),
]


class PrestoConnectionSettings(Section):
    """A server that PRESTO tasks run on. `certificate` is of an authority that the system does not know."""

    url: PrestoUrl
    user: _Text | None = None
    password: SecretStr | None = None
    access_token: SecretStr | None = None
    certificate: Location | None = None
    source: _Text = "data-phantom"
    client_tags: tuple[_Tag, ...] = ()
    time_zone: _Text | None = None
    session_properties: dict[_Property, str] = Field(default_factory=dict)

    @property
    def address(self) -> PrestoAddress:
        return read_presto_address(self.url.get_secret_value())

    @property
    def account(self) -> tuple[str, SecretStr | None]:
        """User and password; the keys win over the URL's."""
        address = self.address
        return self.user or address.user or "data-phantom", self.password or address.password

    @model_validator(mode="after")
    def _keeps_its_secrets(self) -> "PrestoConnectionSettings":
        if self.account[1] is not None and self.access_token is not None:
            raise cross_fault("access_token", "there is a password as well; one of the two is enough")
        if not self.address.is_secure and (self.account[1] is not None or self.access_token is not None):
            raise cross_fault("url", "a password or token would travel in clear; use https:// with it")
        return self
