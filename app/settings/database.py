"""A database and its pool: the keys that the metadata store and the MySQL connections share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.settings.duration import Duration
from app.settings.jdbc import USED_OPTIONS, connect_arguments, parse_jdbc_url
from app.settings.permitted import Permitted
from app.settings.secret_url import SecretUrl
from app.settings.section import CamelSection, cross_fault

PLACEHOLDER_PASSWORDS = frozenset({"your-password", "your_password", "your_root_password"})
_UTF8 = {"charset": "utf8mb4"}
_PLACEHOLDER_DATABASE = "your_database"
_ASYNC_DRIVERS = {
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
    "mysql+asyncmy": "mysql+asyncmy",
    "mariadb+asyncmy": "mariadb+asyncmy",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseAddress:
    """What a driver needs to connect.

    `options` are a JDBC URL's own, and `connect_args` is what they mean to the driver, for `create_async_engine`.
    """

    drivername: str
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    connect_args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sqlite(self) -> bool:
        return self.drivername.startswith("sqlite")

    def sqlalchemy_url(self) -> URL:
        """The URL for `create_async_engine`; `str()` of it masks the password."""
        return URL.create(
            self.drivername,
            username=self.user,
            password=self.password.get_secret_value() if self.password else None,
            host=self.host,
            port=self.port,
            database=self.database,
            query=self.query,
        )


def read_address(url: str, *, user: str | None, password: SecretStr | None) -> DatabaseAddress:
    """Read a JDBC or SQLAlchemy URL; `user` and `password` win over the URL's. Raises: ValueError, without the URL."""
    if url.startswith("jdbc:"):
        parts = parse_jdbc_url(url)
        try:
            arguments = connect_arguments(parts.options)
        except OSError as error:
            raise ValueError(f"its option serverSslCert names no readable certificate: {error.strerror}") from error
        return DatabaseAddress(
            drivername=parts.driver,
            host=parts.host,
            port=parts.port,
            database=parts.database,
            user=user or parts.user,
            password=password or (SecretStr(parts.password) if parts.password else None),
            options=parts.options,
            query=_UTF8,
            connect_args=arguments,
        )
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        made = None
    if made is None or made.drivername not in _ASYNC_DRIVERS:
        raise ValueError("this is neither a JDBC URL nor a SQLAlchemy URL of MariaDB, MySQL or SQLite")
    query = {name: value if isinstance(value, str) else value[-1] for name, value in made.query.items()}
    return DatabaseAddress(
        drivername=_ASYNC_DRIVERS[made.drivername],
        host=made.host,
        port=made.port,
        database=made.database,
        user=user or made.username,
        password=password or (SecretStr(str(made.password)) if made.password else None),
        query=query if made.drivername.startswith("sqlite") else _UTF8 | query,
    )


def _readable(url: SecretUrl) -> SecretUrl:
    read_address(url.get_secret_value(), user=None, password=None)
    return url


DatabaseUrl = Annotated[
    SecretUrl,
    AfterValidator(_readable),
    PlainSerializer(str, when_used="json"),
    Permitted("jdbc:mariadb://host:3306/database, jdbc:mysql://…, mariadb+asyncmy://…, or sqlite+aiosqlite:///file"),
]
PositiveDuration = Annotated[Duration, Ge(timedelta(milliseconds=1)), Le(timedelta(days=365))]


class DatabaseSettings(CamelSection):
    """A connection as the specification writes it; the driver's class is checked, though Python needs none."""

    driver_class: Literal[
        "org.mariadb.jdbc.Driver", "com.mysql.cj.jdbc.Driver", "com.mysql.jdbc.Driver", "org.sqlite.JDBC"
    ] = "org.mariadb.jdbc.Driver"
    url: DatabaseUrl
    user: str | None = None
    password: SecretStr | None = None
    max_size: Annotated[int, Field(ge=1, le=1000)] = 20
    min_size: Annotated[int, Field(ge=0, le=1000)] = 5
    max_wait_for_connection: PositiveDuration = timedelta(seconds=30)
    max_connection_age: PositiveDuration = timedelta(minutes=30)
    min_idle_time: PositiveDuration = timedelta(minutes=10)
    validation_query: Annotated[str, Field(min_length=1)] = "SELECT 1"
    validation_query_timeout: PositiveDuration = timedelta(seconds=3)
    check_connection_on_borrow: bool = True
    check_connection_on_return: bool = True

    @property
    def address(self) -> DatabaseAddress:
        return read_address(self.url.get_secret_value(), user=self.user, password=self.password)

    @property
    def unused_options(self) -> tuple[str, ...]:
        """Options of the JDBC URL that concern Java's drivers alone."""
        return tuple(sorted(set(self.address.options) - USED_OPTIONS))

    @property
    def is_placeholder(self) -> bool:
        """The values are the specification's examples still, so nobody has configured this database."""
        password = self.password.get_secret_value() if self.password else ""
        return self.address.database == _PLACEHOLDER_DATABASE or password in PLACEHOLDER_PASSWORDS

    @model_validator(mode="after")
    def _pool_has_room(self) -> "DatabaseSettings":
        if self.min_size > self.max_size:
            raise cross_fault("minSize", f"{self.min_size} is more than maxSize, which is {self.max_size}")
        return self


class MetaStoreSettings(DatabaseSettings):
    """The metadata's own database."""

    max_size: Annotated[int, Field(ge=1, le=1000)] = 50
    min_size: Annotated[int, Field(ge=0, le=1000)] = 10
