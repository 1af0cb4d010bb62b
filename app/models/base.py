"""The declarative base, and the column types that are the same on MariaDB and SQLite."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import DateTime, Dialect, MetaData, String, Table, Text, Uuid
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}
TABLE_OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",  # names are told apart to the letter, on MariaDB as on SQLite
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
Id = Uuid(as_uuid=True, native_uuid=False)  # 32 characters on both, in the order of creation for UUIDv7


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, to the microsecond, stored without its zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else value.replace(tzinfo=UTC)


Vocabulary = TypeVar("Vocabulary", bound=StrEnum)


class Word(TypeDecorator[Vocabulary], Generic[Vocabulary]):
    """A member of a `StrEnum`, stored as its text; a new member needs no migration."""

    impl = String(20)
    cache_ok = True

    def __init__(self, vocabulary: type[Vocabulary]) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def process_bind_param(self, value: Vocabulary | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Vocabulary | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else self.vocabulary(value)


def table_of(model: "type[Base]") -> Table:
    """The plain table of a model, for statements that need no ORM."""
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table")
    return table


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime(), UUID: Id, str: String(255)}  # noqa: RUF012 - SQLAlchemy's protocol
