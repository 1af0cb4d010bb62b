"""Mutations of backfills."""

from typing import Annotated

import strawberry

from app.graphql.backfills.types import Backfill, BackfillPayload, CancelBackfillInput, StartBackfillInput
from app.graphql.context import Info
from app.graphql.ids import from_global
from app.graphql.node import refusable
from app.services.backfills import Range

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class BackfillMutations:
    @strawberry.mutation(description="Run a playground for a range of past fire times of its schedule.")
    async def start_backfill(self, info: Info, input: Annotated[StartBackfillInput, Input]) -> BackfillPayload:
        viewer = info.context.signed_in()

        async def work() -> Backfill:
            row = await info.context.services.backfills.start(
                viewer,
                from_global("Playground", input.playground_id, path=("playgroundId",)),
                Range(start=input.from_, end=input.until, rerun=bool(input.rerun)),
                max_concurrent_runs=1 if input.max_concurrent_runs is None else input.max_concurrent_runs,
            )
            return Backfill.of(row)

        return await refusable(BackfillPayload, "backfill", work())

    @strawberry.mutation(description="Cancel a backfill: nothing more is started, and its runs are cancelled.")
    async def cancel_backfill(self, info: Info, input: Annotated[CancelBackfillInput, Input]) -> BackfillPayload:
        viewer = info.context.signed_in()

        async def work() -> Backfill:
            backfill_id = from_global("Backfill", input.backfill_id, path=("backfillId",))
            return Backfill.of(await info.context.services.backfills.cancel(viewer, backfill_id))

        return await refusable(BackfillPayload, "backfill", work())
