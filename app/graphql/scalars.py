"""Scalars: instants in RFC 3339, counts beyond 32 bits, the values of parameters, and JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

BigInt = NewType("BigInt", int)
MAX_BIG_INT = 2**63 - 1


def write_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise GraphQLError(f"{value!r} is not an RFC 3339 date and time such as 2026-01-05T09:30:00Z.") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def read_big_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -MAX_BIG_INT - 1 <= value <= MAX_BIG_INT:
        raise GraphQLError(f"{value!r} is not a whole number of at most 64 bits.")
    return value


ParameterValue = NewType("ParameterValue", object)


def read_parameter(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float):
        return value
    raise GraphQLError("A parameter's value is a text, a number or a boolean.")


JsonValue = NewType("JsonValue", object)

SCALARS: Mapping[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number of at most 64 bits, as a JSON number.",
        serialize=int,
        parse_value=read_big_int,
    ),
    ParameterValue: strawberry.scalar(
        name="ParameterValue",
        description="A text, a number or a boolean.",
        serialize=read_parameter,
        parse_value=read_parameter,
    ),
    JsonValue: strawberry.scalar(
        name="JSON",
        description="A value of JSON: an object, a list, a text, a number, a boolean or null.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file of a multipart form, as the GraphQL multipart request specification has it.",
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in UTC by RFC 3339, such as 2026-01-05T09:30:00.000Z.",
        serialize=write_instant,
        parse_value=read_instant,
    ),
}


def schema_config() -> StrawberryConfig:
    return StrawberryConfig(scalar_map=SCALARS)
