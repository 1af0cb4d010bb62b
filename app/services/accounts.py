"""Accounts: registering, signing in, sessions whose refresh tokens work once, signing out."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy.exc import IntegrityError

from app.domain.errors import BadCredentialsError, ExpiredError, InvalidError, TakenError, UnauthenticatedError
from app.domain.identity import Viewer, new_id, utc_now
from app.models import Role, User
from app.services.passwords import Passwords
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

ALGORITHM = "HS256"
ISSUER = "data-phantom"
EMAIL = re.compile(r"[^@\s<>,;:\"()\[\]\\]{1,64}@[^@\s<>,;:\"()\[\]\\]+\.[^@\s<>,;:\"()\[\]\\.]{2,}")
USERNAME = re.compile(r"[\w.-]{2,64}")
MAX_EMAIL_LENGTH = 254


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionTokens:
    """What a client keeps: `expires_at` is the access token's."""

    access_token: str
    refresh_token: str
    expires_at: datetime
    user: User


class AccountService:
    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        secret_key: str,
        access_lifetime: timedelta,
        refresh_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._key = OctKey.import_key(secret_key)
        self._refresh_key = hashlib.sha256(f"refresh tokens|{secret_key}".encode()).digest()
        self._access_lifetime = access_lifetime
        self._refresh_lifetime = refresh_lifetime

    async def register(self, *, email: str, username: str, password: str) -> SessionTokens:
        """Make an account and sign it in.

        Raises: InvalidError, TakenError.
        """
        email = checked_email(email)
        username = checked_username(username)
        self._passwords.check(password)
        user_id, at = new_id(), utc_now()
        password_hash = await self._passwords.hash(password)

        async def work(unit: UnitOfWork) -> None:
            taken = await unit.accounts.user_taking(email=email, username=username)
            if taken is not None and taken.id != user_id:
                raise _taken(email=taken.email == email)
            if taken is None:
                await unit.accounts.add_user(
                    id=user_id,
                    email=email,
                    username=username,
                    password_hash=password_hash,
                    role=Role.USER,
                    created_at=at,
                )

        try:
            await self._database.write(work)
        except IntegrityError as error:  # another registration won between the look and the insert
            raise _taken(email="email" in str(error.orig)) from error
        return await self.open_session(user_id)

    async def login(self, *, email: str, password: str) -> SessionTokens:
        """Raises: BadCredentialsError, the same whether the address or the password is wrong."""
        async with self._database.read() as unit:
            user = await unit.accounts.user_by_email(email.strip().lower())
        if not await self._passwords.verify(password, user.password_hash if user else None) or user is None:
            raise BadCredentialsError("The e-mail address or the password is wrong.", path=("password",))
        return await self.open_session(user.id)

    async def open_session(self, user_id: UUID) -> SessionTokens:
        """A new session of an account whose owner has been proved."""
        session_id, at = new_id(), utc_now()
        secret = self._new_secret(session_id)

        async def work(unit: UnitOfWork) -> User:
            user = await unit.accounts.user(user_id)
            if user is None:
                raise BadCredentialsError("The account does not exist (any more).")
            if await unit.accounts.session_with_user(session_id) is None:
                await unit.accounts.add_session(
                    id=session_id,
                    user_id=user_id,
                    refresh_token_hash=_hash(secret),
                    created_at=at,
                    expires_at=at + self._refresh_lifetime,
                )
            return user

        return self._tokens(await self._database.write(work), session_id, secret, at)

    async def refresh(self, refresh_token: str) -> SessionTokens:
        """Exchange a refresh token; it works once, and using it again ends its session for whoever holds it.

        Raises: ExpiredError.
        """
        session_id, old_secret = _parse_refresh_token(refresh_token)
        new_secret, at = self._new_secret(session_id), utc_now()

        async def work(unit: UnitOfWork) -> User | None:
            found = await unit.accounts.session_with_user(session_id)
            if found is None or found[0].revoked_at is not None or found[0].expires_at <= at:
                return None
            session, user = found
            if session.refresh_token_hash == _hash(new_secret):
                return user  # this very exchange was committed, and the connection lost before it was told
            if await unit.accounts.rotate(
                session.id,
                old_hash=_hash(old_secret),
                new_hash=_hash(new_secret),
                expires_at=at + self._refresh_lifetime,
            ):
                return user
            if self._is_ours(session_id, old_secret):
                await unit.accounts.revoke(session.id, at=at)
            return None

        user = await self._database.write(work)
        if user is None:
            raise ExpiredError("The session has ended; sign in again.", path=("refreshToken",))
        return self._tokens(user, session_id, new_secret, at)

    async def logout(self, viewer: Viewer, refresh_token: str | None = None) -> None:
        """End the session of the refresh token, or else the one that the request came with."""
        session_id = viewer.session_id if refresh_token is None else _parse_refresh_token(refresh_token)[0]

        async def work(unit: UnitOfWork) -> None:
            found = await unit.accounts.session_with_user(session_id)
            if found is not None and found[1].id == viewer.user_id:
                await unit.accounts.revoke(session_id, at=utc_now())

        await self._database.write(work)

    async def authenticate(self, access_token: str) -> Viewer:
        """The viewer that an access token stands for, if its session is still open.

        Raises: UnauthenticatedError.
        """
        try:
            token = jwt.decode(access_token, self._key, algorithms=[ALGORITHM])
            jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": ISSUER}, exp={"essential": True}, sid={"essential": True}
            ).validate(token.claims)
            session_id = UUID(hex=token.claims["sid"])
            expires_at = datetime.fromtimestamp(token.claims["exp"], tz=utc_now().tzinfo)
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise UnauthenticatedError("The access token is not valid or has expired.") from error
        async with self._database.read() as unit:
            found = await unit.accounts.session_with_user(session_id)
        if found is None or found[0].revoked_at is not None:
            raise UnauthenticatedError("The session has ended; sign in again.")
        user = found[1]
        return Viewer(
            user_id=user.id,
            session_id=session_id,
            email=user.email,
            username=user.username,
            admin=user.role is Role.ADMIN,
            expires_at=expires_at,
        )

    async def users(self, ids: Collection[UUID]) -> Mapping[UUID, User]:
        async with self._database.read() as unit:
            return {user.id: user for user in await unit.accounts.users(ids)}

    async def user_by_email(self, email: str) -> User | None:
        async with self._database.read() as unit:
            return await unit.accounts.user_by_email(email.strip().lower())

    def _new_secret(self, session_id: UUID) -> str:
        """A refresh token's secret, with a mark that tells an old one from a guess, however old it is."""
        secret = secrets.token_urlsafe(32)
        return f"{secret}.{self._mark(session_id, secret)}"

    def _is_ours(self, session_id: UUID, text: str) -> bool:
        secret, _, mark = text.partition(".")
        return hmac.compare_digest(mark.encode(), self._mark(session_id, secret).encode())

    def _mark(self, session_id: UUID, secret: str) -> str:
        return hmac.new(self._refresh_key, session_id.bytes + secret.encode(), hashlib.sha256).hexdigest()[:32]

    def _tokens(self, user: User, session_id: UUID, secret: str, at: datetime) -> SessionTokens:
        expires_at = (at + self._access_lifetime).replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "sub": user.id.hex,
            "sid": session_id.hex,
            "iat": int(at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return SessionTokens(
            access_token=jwt.encode({"alg": ALGORITHM}, claims, self._key),
            refresh_token=f"{session_id.hex}.{secret}",
            expires_at=expires_at,
            user=user,
        )


def checked_email(email: str) -> str:
    email = email.strip().lower()
    if len(email) > MAX_EMAIL_LENGTH or not email.isprintable() or EMAIL.fullmatch(email) is None:
        raise InvalidError("This is not an e-mail address.", path=("email",))
    return email


def checked_username(username: str) -> str:
    username = username.strip()
    if USERNAME.fullmatch(username) is None:
        raise InvalidError("A user name has 2 to 64 letters, digits, dots, hyphens or underscores.", path=("username",))
    return username


def _taken(*, email: bool) -> TakenError:
    if email:
        return TakenError("There is an account with this e-mail address; sign in instead.", path=("email",))
    return TakenError("This user name is taken; choose another.", path=("username",))


def _parse_refresh_token(token: str) -> tuple[UUID, str]:
    head, _, secret = token.partition(".")
    try:
        return UUID(hex=head), secret
    except ValueError as error:
        raise ExpiredError(
            "This is not a refresh token of this server; sign in again.", path=("refreshToken",)
        ) from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits need no slow hash
