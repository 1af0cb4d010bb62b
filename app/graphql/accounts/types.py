"""Types of accounts and sessions."""

from datetime import datetime

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.graphql.ids import to_global
from app.graphql.node import Node, UserError
from app.models import Role
from app.models import User as UserRow
from app.services.accounts import SessionTokens


@strawberry.type(description="A person with an account.")
class User(Node):
    email: str = strawberry.field(description="The address to sign in with.")
    username: str = strawberry.field(description="The name that others see.")
    role: Role = strawberry.field(description="What the account may do.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @classmethod
    def of(cls, row: UserRow) -> "User":
        return cls(
            id=to_global("User", row.id),
            email=row.email,
            username=row.username,
            role=row.role,
            created_at=row.created_at,
        )


@strawberry.type(description="What a signed-in client keeps.")
class Session:
    access_token: str = strawberry.field(description="Goes with every request as `Authorization: Bearer …`.")
    refresh_token: str = strawberry.field(description="Works once, for refreshSession.")
    expires_at: datetime = strawberry.field(description="When the access token expires.")
    user: User = strawberry.field(description="Who is signed in.")

    @classmethod
    def of(cls, tokens: SessionTokens) -> "Session":
        return cls(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_at=tokens.expires_at,
            user=User.of(tokens.user),
        )


@strawberry.type(description="A session, or why there is none.")
class SessionPayload:
    session: Session | None = strawberry.field(description="The new session; null when refused.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.type(description="The end of a session.")
class LogoutPayload:
    logged_out: bool | None = strawberry.field(description="True when the session has ended.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was not.")


@strawberry.input(description="A new account.")
class RegisterInput:
    email: str = strawberry.field(description="The address to sign in with.")
    username: str = strawberry.field(description="2 to 64 letters, digits, dots, hyphens or underscores.")
    password: str = strawberry.field(description="8 to 256 characters.")


@strawberry.input(description="Who is signing in.")
class LoginInput:
    email: str = strawberry.field(description="The address of the account.")
    password: str = strawberry.field(description="Its password.")


@strawberry.input(description="The token to exchange.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(description="The latest refresh token of the session.")


@strawberry.input(description="The session to end.")
class LogoutInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="A session's refresh token; without it, the session of this request ends."
    )
