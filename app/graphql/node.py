"""The Node interface, and errors that a person can mend."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.domain.errors import DomainError, ErrorCode


@strawberry.interface(description="An object with an id that is unique over all types.")
class Node:
    id: strawberry.ID = strawberry.field(description="The global id.")


@strawberry.type(description="Why a mutation was refused; nothing was changed.")
class UserError:
    code: ErrorCode = strawberry.field(description="What kind of refusal it is.")
    message: str = strawberry.field(description="What is wrong, and what to do next.")
    path: list[str] = strawberry.field(description="The field of the input that it is about; empty for the whole.")


Payload = TypeVar("Payload")


async def refusable(payload: Callable[..., Payload], field: str, work: Awaitable[Any]) -> Payload:
    """The payload with the object in `field`, or with the error that refused it."""
    try:
        return payload(**{field: await work}, errors=[])
    except DomainError as error:
        return payload(**{field: None}, errors=[user_error(error)])


def user_error(error: DomainError) -> UserError:
    return UserError(code=error.code, message=error.message, path=list(error.path))


Given = TypeVar("Given")


def given(value: Given | None) -> Given | None:
    """What an input says, None where it leaves the field out."""
    return None if value is strawberry.UNSET else value
