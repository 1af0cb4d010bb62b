"""Mutations of playgrounds."""

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import from_global
from app.graphql.node import given, refusable
from app.graphql.playgrounds.parameters import pairs_of
from app.graphql.playgrounds.types import (
    CreatePlaygroundInput,
    DeletePayload,
    DeletePlaygroundInput,
    Playground,
    PlaygroundPayload,
    UpdatePlaygroundInput,
)

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class PlaygroundMutations:
    @strawberry.mutation(description="Make a playground.")
    async def create_playground(self, info: Info, input: Annotated[CreatePlaygroundInput, Input]) -> PlaygroundPayload:
        viewer = info.context.signed_in()

        async def work() -> Playground:
            row = await info.context.services.playgrounds.create(
                viewer,
                name=input.name,
                description=input.description or "",
                schedule=input.schedule.value() if input.schedule else None,
                parameters=pairs_of(input.parameters),
            )
            return Playground.of(row)

        return await refusable(PlaygroundPayload, "playground", work())

    @strawberry.mutation(description="Change a playground's own fields.")
    async def update_playground(self, info: Info, input: Annotated[UpdatePlaygroundInput, Input]) -> PlaygroundPayload:
        viewer = info.context.signed_in()

        async def work() -> Playground:
            row = await info.context.services.playgrounds.update(
                viewer,
                from_global("Playground", input.playground_id, path=("playgroundId",)),
                name=given(input.name),
                description=given(input.description),
                schedule=input.schedule.value() if input.schedule else None,
                remove_schedule=input.schedule is None,
                parameters=None if input.parameters is strawberry.UNSET else pairs_of(input.parameters),
            )
            return Playground.of(row)

        return await refusable(PlaygroundPayload, "playground", work())

    @strawberry.mutation(description="Delete a playground with its tasks, history and outputs.")
    async def delete_playground(self, info: Info, input: Annotated[DeletePlaygroundInput, Input]) -> DeletePayload:
        viewer = info.context.signed_in()

        async def work() -> strawberry.ID:
            playground_id = from_global("Playground", input.playground_id, path=("playgroundId",))
            await info.context.services.playgrounds.delete(viewer, playground_id)
            return input.playground_id

        return await refusable(DeletePayload, "deleted_id", work())
