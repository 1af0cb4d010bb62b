"""Types of what is suggested for a reconciliation, and the query that asks for it."""

from typing import Annotated

import strawberry

import app.graphql.enums  # noqa: F401 - before any type that uses one
from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.suggestion import MappingSuggestion as SuggestionValue
from app.graphql.context import Info
from app.graphql.ids import from_global
from app.graphql.reconciliations.types import ColumnMapping


@strawberry.type(description="A column of the left side and its probable counterpart.")
class SuggestedPair:
    left: str = strawberry.field(description="The left side's label.")
    right: str = strawberry.field(description="The right side's label.")
    key: bool = strawberry.field(description="Whether it belongs to the best key.")
    confidence: Confidence = strawberry.field(description="How sure it is.")
    reason: str = strawberry.field(description="Why, in a sentence.")


@strawberry.type(description="Columns whose values name a row, as far as the sample shows.")
class KeyCandidate:
    columns: list[ColumnMapping] = strawberry.field(description="One pair of columns, or two that are unique together.")
    confidence: Confidence = strawberry.field(description="How sure it is.")
    reason: str = strawberry.field(description="Why, in a sentence that tells how many rows were looked at.")


@strawberry.type(description="How two outputs can probably be compared; for you to confirm.")
class MappingSuggestion:
    pairs: list[SuggestedPair] = strawberry.field(description="Columns that belong together, in the left order.")
    unmatched_left: list[str] = strawberry.field(description="Columns of the left side without a counterpart.")
    unmatched_right: list[str] = strawberry.field(description="Columns of the right side without a counterpart.")
    keys: list[KeyCandidate] = strawberry.field(description="What may name a row, the best first; at most five.")
    left_sampled_rows: int = strawberry.field(description="Rows of the left side that were looked at.")
    right_sampled_rows: int = strawberry.field(description="Rows of the right side that were looked at.")
    whole: bool = strawberry.field(description="Whether these are all rows of both sides.")

    @classmethod
    def of(cls, value: SuggestionValue) -> "MappingSuggestion":
        return cls(
            pairs=[
                SuggestedPair(
                    left=pair.left, right=pair.right, key=pair.key, confidence=pair.confidence, reason=pair.reason
                )
                for pair in value.pairs
            ],
            unmatched_left=list(value.unmatched_left),
            unmatched_right=list(value.unmatched_right),
            keys=[
                KeyCandidate(
                    columns=[ColumnMapping(left=each.left, right=each.right, key=each.key) for each in key.columns],
                    confidence=key.confidence,
                    reason=key.reason,
                )
                for key in value.keys
            ],
            left_sampled_rows=value.left_rows,
            right_sampled_rows=value.right_rows,
            whole=value.whole,
        )


@strawberry.type
class SuggestionQueries:
    @strawberry.field(
        description="How the newest outputs of two of your tasks can probably be compared, told from a sample of each."
    )
    async def suggest_mapping(
        self,
        info: Info,
        left_task_id: Annotated[strawberry.ID, strawberry.argument(description="The task of the left side.")],
        right_task_id: Annotated[strawberry.ID, strawberry.argument(description="The task of the right side.")],
    ) -> MappingSuggestion:
        viewer = info.context.signed_in()
        suggestion = await info.context.services.suggestions.suggest(
            viewer,
            left_task_id=from_global("Task", left_task_id, path=("leftTaskId",)),
            right_task_id=from_global("Task", right_task_id, path=("rightTaskId",)),
        )
        return MappingSuggestion.of(suggestion)
