"""Who is asking, and the ids of rows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """A signed-in person and the session that the request came with."""

    user_id: UUID
    session_id: UUID
    email: str
    username: str
    admin: bool
    expires_at: datetime


def new_id() -> UUID:
    """A UUIDv7: ids made later are greater, so that keys are in the order of creation."""
    return uuid7()


def utc_now() -> datetime:
    return datetime.now(UTC)
