"""How a HiveServer2 names its sessions and operations, and the text by which another process goes on with one."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

_GUID_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerKey:
    """The server's name of a session or an operation, and the secret that goes with it."""

    guid: bytes
    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """As the server's own logs and pages have it."""
        return str(UUID(bytes=self.guid))


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One statement that the server runs; `has_rows` as far as it was known when the statement began."""

    session: ServerKey
    key: ServerKey
    has_rows: bool = True

    @property
    def text(self) -> str:
        """The operation's name in the server's logs, and then what else it takes to ask for it."""
        packed = bytes([self.has_rows]) + self.key.secret + self.session.guid + self.session.secret
        return f"{self.key.name}:{base64.urlsafe_b64encode(packed).decode()}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The operation of a text; None where it is none of ours."""
        name, _, packed = text.partition(":")
        try:
            guid, rest = UUID(name).bytes, base64.urlsafe_b64decode(packed)
        except (ValueError, binascii.Error):
            return None
        if len(rest) != 1 + 3 * _GUID_BYTES:
            return None
        secret, session_guid, session_secret = (rest[start : start + _GUID_BYTES] for start in (1, 17, 33))
        return cls(
            session=ServerKey(guid=session_guid, secret=session_secret),
            key=ServerKey(guid=guid, secret=secret),
            has_rows=bool(rest[0]),
        )
