"""The schema: the rooms' queries, mutations and subscriptions put together."""

import strawberry

from app.graphql.accounts.mutations import AccountMutations
from app.graphql.accounts.queries import AccountQueries
from app.graphql.backfills.mutations import BackfillMutations
from app.graphql.backfills.queries import BackfillQueries
from app.graphql.platform.queries import PlatformQueries
from app.graphql.playgrounds.mutations import PlaygroundMutations
from app.graphql.playgrounds.queries import PlaygroundQueries
from app.graphql.reconciliations.mutations import ReconciliationMutations
from app.graphql.reconciliations.queries import ReconciliationQueries
from app.graphql.reconciliations.subscriptions import ReconciliationSubscriptions
from app.graphql.reconciliations.suggestions import SuggestionQueries
from app.graphql.runs.mutations import RunMutations
from app.graphql.runs.queries import RunQueries
from app.graphql.runs.subscriptions import RunSubscriptions
from app.graphql.scalars import schema_config
from app.graphql.tasks.mutations import TaskMutations
from app.graphql.tasks.queries import TaskQueries
from app.graphql.udfs.mutations import UdfMutations
from app.graphql.udfs.queries import UdfQueries


@strawberry.type(description="What can be asked.")
class Query(
    PlatformQueries,
    AccountQueries,
    PlaygroundQueries,
    TaskQueries,
    UdfQueries,
    RunQueries,
    BackfillQueries,
    ReconciliationQueries,
    SuggestionQueries,
):
    pass


@strawberry.type(description="What can be changed; a refusal comes back in `errors`, and nothing was changed.")
class Mutation(
    AccountMutations,
    PlaygroundMutations,
    TaskMutations,
    UdfMutations,
    RunMutations,
    BackfillMutations,
    ReconciliationMutations,
):
    pass


@strawberry.type(
    description="What is pushed live, in batches with cursors: come back with the last one and miss nothing."
)
class Subscription(RunSubscriptions, ReconciliationSubscriptions):
    pass


def build_schema() -> strawberry.Schema:
    """Build it once for each process: strawberry's types keep what they have been resolved to."""
    return strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, config=schema_config())
