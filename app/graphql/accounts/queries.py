"""Queries of accounts."""

import strawberry

from app.graphql.accounts.types import User
from app.graphql.context import Info


@strawberry.type
class AccountQueries:
    @strawberry.field(description="Who is signed in; null without a token, an error with one that is not good.")
    async def viewer(self, info: Info) -> User | None:
        info.context.refuse_rejected()
        viewer = info.context.viewer
        row = None if viewer is None else await info.context.loaders.user.load(viewer.user_id)
        return None if row is None else User.of(row)
