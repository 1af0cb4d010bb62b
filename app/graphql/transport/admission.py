"""Who is on the other side of a request or socket, and the two functions that the transport is given to find out."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import HTTPConnection


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The outcome of authentication; anonymous callers are admitted too, resolvers refuse what they may not do."""

    viewer: Any = None  # opaque here: what the context factory wants to know of the caller
    viewer_key: Hashable | None = None  # equal for all who see the same; None shares nothing and counts nothing
    expires_at: datetime | None = None  # aware; a socket is closed then


# Raises UnauthenticatedError for credentials that are wrong, or missing where they must not be. The mapping is the
# payload of connection_init, None over HTTP.
Authenticate = Callable[[HTTPConnection, Mapping[str, Any] | None], Awaitable[Admission]]
# A fresh context, cheap and without waiting: it is made for every operation and for every event of a subscription.
MakeContext = Callable[[HTTPConnection, Admission], Any]


def bearer_token(connection: HTTPConnection, payload: Mapping[str, Any] | None) -> str | None:
    """Finds the token in connection_init's payload or its `headers`, or in the request's header, in any case."""
    places: list[Mapping[str, Any]] = []
    if payload is not None:
        nested = payload.get("headers")
        places = [payload, nested if isinstance(nested, Mapping) else {}]
    for place in places:
        for name, value in place.items():
            if name.lower() == "authorization" and isinstance(value, str):
                return _token(value)
    header = connection.headers.get("authorization")
    return _token(header) if header else None


def _token(value: str) -> str | None:
    scheme, _, token = value.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
