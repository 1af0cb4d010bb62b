"""Passwords: checked for strength at the door, kept as argon2id hashes."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.errors import InvalidError

MIN_LENGTH = 8
MAX_LENGTH = 256  # hashing time grows with it
HASHES_AT_ONCE = 2  # each takes 64 MiB; more at once would starve everything else


class Passwords:
    """Hashes and verifies in threads, a few at a time."""

    def __init__(self, *, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(HASHES_AT_ONCE)
        self._decoy: str | None = None

    @staticmethod
    def check(password: str, *, path: tuple[str, ...] = ("password",)) -> None:
        """Raises: InvalidError where the password is too short or too long."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise InvalidError(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", path=path)

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """With no hash (no such account) it takes the same time and is False."""
        if len(password) > MAX_LENGTH:
            return False
        if password_hash is None:
            if self._decoy is None:
                self._decoy = await self.hash("a decoy, so that an unknown address takes as long as a known one")
            await self._matches(password, self._decoy)
            return False
        return await self._matches(password, password_hash)

    async def _matches(self, password: str, password_hash: str) -> bool:
        async with self._slots:
            try:
                return await asyncio.to_thread(self._hasher.verify, password_hash, password)
            except (VerificationError, InvalidHashError):
                return False
