"""Mutations of runs."""

from typing import Annotated

import strawberry

from app.domain.status import RunTrigger
from app.graphql.context import Info
from app.graphql.ids import from_global, from_globals
from app.graphql.node import refusable
from app.graphql.playgrounds.parameters import pairs_of
from app.graphql.runs.inputs import CancelRunInput, ResumeRunInput, RunPlaygroundInput
from app.graphql.runs.types import Run, RunPayload
from app.services.launching import Launch

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class RunMutations:
    @strawberry.mutation(description="Run a playground: all its tasks, or those in taskIds.")
    async def run_playground(self, info: Info, input: Annotated[RunPlaygroundInput, Input]) -> RunPayload:
        viewer = info.context.signed_in()

        async def work() -> Run:
            limited = input.task_ids is not None
            launch = Launch(
                trigger=RunTrigger.LIMITED if limited else RunTrigger.AD_HOC,
                task_ids=from_globals("Task", input.task_ids or (), path="taskIds") if limited else None,
                parameters=pairs_of(input.parameters),
                idempotency_key=input.idempotency_key,
            )
            playground_id = from_global("Playground", input.playground_id, path=("playgroundId",))
            return Run.of(await info.context.services.runs.launch(viewer, playground_id, launch))

        return await refusable(RunPayload, "run", work())

    @strawberry.mutation(
        description="Go on with a run that has ended: a new one that keeps what succeeded and runs the rest."
    )
    async def resume_run(self, info: Info, input: Annotated[ResumeRunInput, Input]) -> RunPayload:
        viewer = info.context.signed_in()

        async def work() -> Run:
            run_id = from_global("Run", input.run_id, path=("runId",))
            return Run.of(await info.context.services.resuming.resume(viewer, run_id))

        return await refusable(RunPayload, "run", work())

    @strawberry.mutation(description="Cancel a run: what waits does not start, what runs is stopped in its engine.")
    async def cancel_run(self, info: Info, input: Annotated[CancelRunInput, Input]) -> RunPayload:
        viewer = info.context.signed_in()

        async def work() -> Run:
            run_id = from_global("Run", input.run_id, path=("runId",))
            return Run.of(await info.context.services.runs.cancel(viewer, run_id))

        return await refusable(RunPayload, "run", work())
