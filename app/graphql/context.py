"""What every resolver gets: the services, who is asking, and fresh data loaders."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

import strawberry

from app.context import Services
from app.domain.errors import UnauthenticatedError
from app.domain.identity import Viewer
from app.graphql.loaders import Loaders


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A token that is not good (any more): its bearer may still sign in or refresh, and is told why of all else."""

    reason: str


@dataclass(kw_only=True)
class RequestContext:
    services: Services
    viewer: Viewer | None
    rejected: Rejected | None = None
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.services)

    @property
    def viewer_key(self) -> Hashable | None:
        """Who may be sent the same bytes: everything is its owner's, so nobody but the same person."""
        return None if self.viewer is None else self.viewer.user_id

    def signed_in(self) -> Viewer:
        """Raises: UnauthenticatedError."""
        self.refuse_rejected()
        if self.viewer is None:
            raise UnauthenticatedError("Sign in first: send `Authorization: Bearer …` with the access token of login.")
        return self.viewer

    def refuse_rejected(self) -> None:
        """Raises: UnauthenticatedError where a token was sent that is not good."""
        if self.rejected is not None:
            raise UnauthenticatedError(self.rejected.reason)


Info: TypeAlias = strawberry.Info[RequestContext, None]
