"""Global object ids and cursors: opaque texts that tell a type and a key."""

import base64
import binascii
from collections.abc import Sequence
from uuid import UUID

import strawberry

from app.domain.errors import InvalidError, NotFoundError

MAX_DIGITS = 18  # of a position that fits 64 bits


def to_global(kind: str, key: UUID) -> strawberry.ID:
    return strawberry.ID(_encode(f"{kind}:{key.hex}"))


def from_global(kind: str, value: str, *, path: Sequence[str] = ()) -> UUID:
    """Raises: NotFoundError where the id is none, or another type's: there is no such object."""
    found, key = parse_global(value)
    if found != kind or key is None:
        raise NotFoundError(f"This is not the id of a {kind}.", path=tuple(path))
    return key


def from_globals(kind: str, values: Sequence[str], *, path: str) -> list[UUID]:
    return [from_global(kind, value, path=(path, str(index))) for index, value in enumerate(values)]


def parse_global(value: str) -> tuple[str, UUID | None]:
    """The type and the key; an empty type where the text is no id of ours."""
    kind, _, key = _decode(value).partition(":")
    try:
        return kind, UUID(hex=key)
    except ValueError:
        return "", None


def to_cursor(position: UUID | int) -> str:
    return _encode(f"after:{position.hex if isinstance(position, UUID) else position}")


def key_of_cursor(cursor: str | None, *, path: str) -> UUID | None:
    """Raises: InvalidError."""
    if cursor is None:
        return None
    try:
        return UUID(hex=_decode(cursor).removeprefix("after:"))
    except ValueError as error:
        raise _bad_cursor(path) from error


def position_of_cursor(cursor: str | None, *, path: str) -> int | None:
    """Raises: InvalidError."""
    if cursor is None:
        return None
    digits = _decode(cursor).removeprefix("after:")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise _bad_cursor(path)
    return int(digits)


def _bad_cursor(path: str) -> InvalidError:
    return InvalidError("This is not a cursor that this list or stream has given out.", path=(path,))


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(value: str) -> str:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
