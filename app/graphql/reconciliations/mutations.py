"""Mutations of reconciliations."""

from typing import Annotated

import strawberry

from app.domain.reconciliation.options import ReconciliationOptions
from app.graphql.context import Info
from app.graphql.ids import from_global
from app.graphql.node import refusable
from app.graphql.playgrounds.types import DeletePayload
from app.graphql.reconciliations.inputs import (
    CancelReconciliationRunInput,
    CreateReconciliationInput,
    DeleteReconciliationInput,
    RunReconciliationInput,
    UpdateReconciliationInput,
)
from app.graphql.reconciliations.types import (
    Reconciliation,
    ReconciliationPayload,
    ReconciliationRun,
    ReconciliationRunPayload,
)
from app.services.reconciliations import Comparison

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class ReconciliationMutations:
    @strawberry.mutation(description="Define a comparison of the outputs of two tasks.")
    async def create_reconciliation(
        self, info: Info, input: Annotated[CreateReconciliationInput, Input]
    ) -> ReconciliationPayload:
        viewer = info.context.signed_in()

        async def work() -> Reconciliation:
            row = await info.context.services.reconciliations.create(
                viewer,
                from_global("Playground", input.playground_id, path=("playgroundId",)),
                left_task_id=from_global("Task", input.left_task_id, path=("leftTaskId",)),
                right_task_id=from_global("Task", input.right_task_id, path=("rightTaskId",)),
                mapping=[pair.value() for pair in input.mapping],
                options=input.options.value() if input.options else ReconciliationOptions(),
            )
            return Reconciliation.of(row)

        return await refusable(ReconciliationPayload, "reconciliation", work())

    @strawberry.mutation(description="Change a reconciliation; runs keep what they were made with.")
    async def update_reconciliation(
        self, info: Info, input: Annotated[UpdateReconciliationInput, Input]
    ) -> ReconciliationPayload:
        viewer = info.context.signed_in()

        async def work() -> Reconciliation:
            row = await info.context.services.reconciliations.update(
                viewer,
                from_global("Reconciliation", input.reconciliation_id, path=("reconciliationId",)),
                mapping=input.mapping_value(),
                options=input.options_value(),
            )
            return Reconciliation.of(row)

        return await refusable(ReconciliationPayload, "reconciliation", work())

    @strawberry.mutation(description="Delete a reconciliation with its history.")
    async def delete_reconciliation(
        self, info: Info, input: Annotated[DeleteReconciliationInput, Input]
    ) -> DeletePayload:
        viewer = info.context.signed_in()

        async def work() -> strawberry.ID:
            key = from_global("Reconciliation", input.reconciliation_id, path=("reconciliationId",))
            await info.context.services.reconciliations.delete(viewer, key)
            return input.reconciliation_id

        return await refusable(DeletePayload, "deleted_id", work())

    @strawberry.mutation(description="Compare the two tasks' newest outputs, or those of the task runs named.")
    async def run_reconciliation(
        self, info: Info, input: Annotated[RunReconciliationInput, Input]
    ) -> ReconciliationRunPayload:
        viewer = info.context.signed_in()

        async def work() -> ReconciliationRun:
            left, right = (
                None if value is None else from_global("TaskRun", value, path=(path,))
                for path, value in (
                    ("leftTaskRunId", input.left_task_run_id),
                    ("rightTaskRunId", input.right_task_run_id),
                )
            )
            row = await info.context.services.reconciliations.launch(
                viewer,
                from_global("Reconciliation", input.reconciliation_id, path=("reconciliationId",)),
                Comparison(left_task_run_id=left, right_task_run_id=right, idempotency_key=input.idempotency_key),
            )
            return ReconciliationRun.of(row)

        return await refusable(ReconciliationRunPayload, "reconciliation_run", work())

    @strawberry.mutation(description="Cancel a comparison.")
    async def cancel_reconciliation_run(
        self, info: Info, input: Annotated[CancelReconciliationRunInput, Input]
    ) -> ReconciliationRunPayload:
        viewer = info.context.signed_in()

        async def work() -> ReconciliationRun:
            key = from_global("ReconciliationRun", input.reconciliation_run_id, path=("reconciliationRunId",))
            return ReconciliationRun.of(await info.context.services.reconciliations.cancel(viewer, key))

        return await refusable(ReconciliationRunPayload, "reconciliation_run", work())
