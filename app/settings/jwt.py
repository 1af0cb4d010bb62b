"""The tokens of a session: what signs them, and how long they live."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

from app.settings.section import CamelSection

DEFAULT_SECRET = "your-super-secret-jwt-key-change-this-in-production"  # noqa: S105  the specification's example, refused in production
MIN_SECRET_BYTES = 32  # HS256 wants a key as long as its digest (RFC 7518, section 3.2)
_MIN_DISTINCT = 8  # characters: `aaaa…` is long, too


class JwtSettings(CamelSection):
    secret_key: SecretStr = SecretStr(DEFAULT_SECRET)
    token_expiration_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    refresh_token_expiration_days: Annotated[int, Field(ge=1, le=365)] = 7

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(minutes=self.token_expiration_minutes)

    @property
    def refresh_token_lifetime(self) -> timedelta:
        return timedelta(days=self.refresh_token_expiration_days)

    @property
    def is_default(self) -> bool:
        return self.secret_key.get_secret_value() == DEFAULT_SECRET

    def weakness(self) -> str | None:
        """Why the secret must not sign tokens in production, or None."""
        secret = self.secret_key.get_secret_value()
        if not secret.strip():
            return "the secret is empty"
        if secret == DEFAULT_SECRET or "change-this" in secret.lower():
            return "the secret is the example of the documentation, which everybody knows"
        if len(secret.encode()) < MIN_SECRET_BYTES:
            return f"the secret has {len(secret.encode())} bytes"
        if len(set(secret)) < _MIN_DISTINCT:
            return "the secret repeats a few characters"
        return None
