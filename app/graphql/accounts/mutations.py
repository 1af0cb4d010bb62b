"""Mutations of accounts and sessions."""

from collections.abc import Awaitable
from typing import Annotated

import strawberry

from app.graphql.accounts.types import (
    LoginInput,
    LogoutInput,
    LogoutPayload,
    RefreshSessionInput,
    RegisterInput,
    Session,
    SessionPayload,
)
from app.graphql.context import Info
from app.graphql.node import refusable
from app.services.accounts import SessionTokens

Input = strawberry.argument(description="What is asked for.")


async def _session(tokens: Awaitable[SessionTokens]) -> Session:
    return Session.of(await tokens)


@strawberry.type
class AccountMutations:
    @strawberry.mutation(description="Make an account and sign it in.")
    async def register(self, info: Info, input: Annotated[RegisterInput, Input]) -> SessionPayload:
        work = info.context.services.accounts.register(
            email=input.email, username=input.username, password=input.password
        )
        return await refusable(SessionPayload, "session", _session(work))

    @strawberry.mutation(description="Sign in.")
    async def login(self, info: Info, input: Annotated[LoginInput, Input]) -> SessionPayload:
        work = info.context.services.accounts.login(email=input.email, password=input.password)
        return await refusable(SessionPayload, "session", _session(work))

    @strawberry.mutation(description="Exchange a refresh token for a new session; it works once.")
    async def refresh_session(self, info: Info, input: Annotated[RefreshSessionInput, Input]) -> SessionPayload:
        work = info.context.services.accounts.refresh(input.refresh_token)
        return await refusable(SessionPayload, "session", _session(work))

    @strawberry.mutation(description="End a session: its tokens stop working at once.")
    async def logout(self, info: Info, input: Annotated[LogoutInput, Input]) -> LogoutPayload:
        async def work() -> bool:
            await info.context.services.accounts.logout(info.context.signed_in(), input.refresh_token)
            return True

        return await refusable(LogoutPayload, "logged_out", work())
