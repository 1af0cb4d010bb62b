"""HiveServer2 connections: a URL as JDBC has it, the account, and what each session is set to."""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from app.settings.database import PositiveDuration
from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.secret_url import SecretUrl
from app.settings.section import CamelSection

DEFAULT_HIVE = "hive"
DEFAULT_PORT = 10_000
_USED_OPTIONS = frozenset({"ssl", "transportmode", "httppath", "auth", "principal", "user", "password"})


class HiveAuthentication(StrEnum):
    NOSASL = "NOSASL"
    PLAIN = "PLAIN"
    LDAP = "LDAP"
    KERBEROS = "KERBEROS"


@dataclass(frozen=True, kw_only=True, slots=True)
class HiveUrl:
    """The parts of a URL; `options` are those after the first semicolon, their names in lower case.

    `settings` are the session's, from after the question mark.
    """

    host: str
    port: int
    database: str | None = None
    options: dict[str, str] = field(default_factory=dict, repr=False)
    settings: dict[str, str] = field(default_factory=dict)


def read_hive_url(url: str) -> HiveUrl:
    """Read `[jdbc:]hive2://host:port/database;option=value?setting=value`. Raises: ValueError, without the URL."""
    scheme, separator, rest = url.removeprefix("jdbc:").partition("://")
    if scheme not in {"hive2", "hive"} or not separator:
        raise ValueError("it starts with hive2:// or jdbc:hive2://")
    rest, _, settings = rest.partition("#")[0].partition("?")
    place, *options = rest.split(";")
    if "," in place:
        raise ValueError("several hosts in one URL are not supported; name one, or a proxy before them")
    parts = urlsplit(f"//{place}")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("its port is no number from 1 to 65535") from None
    if not parts.hostname:
        raise ValueError("it names no host")
    told = {name.lower(): value for name, value in _pairs(options).items()}
    if parts.username:
        told.setdefault("user", unquote(parts.username))
    if parts.password:
        told.setdefault("password", unquote(parts.password))
    if "zookeeper" in told.get("servicediscoverymode", "").lower():
        raise ValueError("finding a server by ZooKeeper is not supported; name the server, or a proxy before several")
    return HiveUrl(
        host=parts.hostname,
        port=port,
        database=unquote(parts.path.removeprefix("/")) or None,
        options=told,
        settings=_pairs(settings.split(";")),
    )


def _pairs(texts: list[str]) -> dict[str, str]:
    return {name.strip(): value for name, _, value in (text.partition("=") for text in texts) if name.strip()}


def _readable(url: SecretUrl) -> SecretUrl:
    read_hive_url(url.get_secret_value())
    return url


def _text(value: Any) -> Any:
    """A value as Hive writes it, where YAML has read a number or a boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if not isinstance(value, str):
        raise PydanticCustomError("wrong_kind", "this is neither text, a number nor a boolean")
    return value


HiveConnectionUrl = Annotated[
    SecretUrl,
    AfterValidator(_readable),
    PlainSerializer(str, when_used="json"),
    Permitted("hive2://host:10000/database, or jdbc:hive2://… with its options"),
]
SettingName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$"), Permitted("the name of a setting of Hive or Spark")
]
SettingValue = Annotated[str, BeforeValidator(_text), Permitted("text, a number, true or false")]


class HiveConnectionSettings(CamelSection):
    """A server that HIVE tasks run on; what stands here wins over the URL's own options."""

    url: HiveConnectionUrl
    user: str | None = None
    password: SecretStr | None = None
    auth: HiveAuthentication | None = None
    kerberos_service_name: Annotated[str, Field(min_length=1)] | None = None
    tls: bool | None = None
    ca_certificate: Location | None = None
    verify_certificate: bool = True
    max_size: Annotated[int, Field(ge=1, le=1000)] = 20
    max_wait_for_connection: PositiveDuration = timedelta(seconds=30)
    min_idle_time: PositiveDuration = timedelta(minutes=10)
    settings: dict[SettingName, SettingValue] = Field(default_factory=dict)

    @property
    def address(self) -> HiveUrl:
        return read_hive_url(self.url.get_secret_value())

    @property
    def account(self) -> tuple[str | None, str | None]:
        """User and password."""
        options = self.address.options
        password = None if self.password is None else self.password.get_secret_value()
        return self.user or options.get("user"), password or options.get("password")

    @property
    def authentication(self) -> HiveAuthentication:
        options = self.address.options
        if self.auth is not None:
            return self.auth
        if options.get("auth", "").lower() == "nosasl":
            return HiveAuthentication.NOSASL
        return HiveAuthentication.KERBEROS if "principal" in options else HiveAuthentication.PLAIN

    @property
    def kerberos_service(self) -> str:
        """What stands before the host in the server's principal."""
        return self.kerberos_service_name or self.address.options.get("principal", "").partition("/")[0] or "hive"

    @property
    def uses_tls(self) -> bool:
        return self.address.options.get("ssl", "").lower() == "true" if self.tls is None else self.tls

    @property
    def http_path(self) -> str | None:
        """Where the server speaks by HTTP, the path of it."""
        options = self.address.options
        return options.get("httppath", "cliservice") if options.get("transportmode", "").lower() == "http" else None

    @property
    def session_settings(self) -> dict[str, str]:
        return {**self.address.settings, **self.settings}

    @property
    def unused_options(self) -> tuple[str, ...]:
        """Options of the URL that concern Java's driver alone."""
        return tuple(sorted(set(self.address.options) - _USED_OPTIONS))
