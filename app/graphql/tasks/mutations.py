"""Mutations of tasks and their edges."""

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import from_global, from_globals
from app.graphql.node import given, refusable
from app.graphql.playgrounds.types import DeletePayload
from app.graphql.tasks.checks import SetTaskChecksInput
from app.graphql.tasks.types import (
    CreateTaskInput,
    DeleteTaskInput,
    SetTaskParentsInput,
    Task,
    TaskPayload,
    UpdateTaskInput,
)
from app.services.tasks import TaskDraft

Input = strawberry.argument(description="What is asked for.")


@strawberry.type
class TaskMutations:
    @strawberry.mutation(description="Make a task.")
    async def create_task(self, info: Info, input: Annotated[CreateTaskInput, Input]) -> TaskPayload:
        viewer = info.context.signed_in()

        async def work() -> Task:
            draft = TaskDraft(
                name=input.name,
                type=input.type,
                query=input.query,
                connection=input.connection,
                max_retries=input.max_retries,
                retry_delay_ms=input.retry_delay_ms,
                timeout_ms=input.timeout_ms,
                output_format=input.output_format,
            )
            row = await info.context.services.tasks.create(
                viewer,
                from_global("Playground", input.playground_id, path=("playgroundId",)),
                draft,
                parent_ids=from_globals("Task", input.parent_ids or (), path="parentIds"),
                udf_ids=from_globals("Udf", input.udf_ids or (), path="udfIds"),
            )
            return Task.of(row)

        return await refusable(TaskPayload, "task", work())

    @strawberry.mutation(description="Change a task; a run that is on goes on with the old one.")
    async def update_task(self, info: Info, input: Annotated[UpdateTaskInput, Input]) -> TaskPayload:
        viewer = info.context.signed_in()

        async def work() -> Task:
            parents = given(input.parent_ids)
            udfs = None if input.udf_ids is strawberry.UNSET else input.udf_ids or ()
            cleared = {"connection": input.connection, "timeout_ms": input.timeout_ms}
            draft = TaskDraft(
                name=given(input.name),
                type=given(input.type),
                query=given(input.query),
                connection=given(input.connection),
                max_retries=given(input.max_retries),
                retry_delay_ms=given(input.retry_delay_ms),
                timeout_ms=given(input.timeout_ms),
                output_format=given(input.output_format),
                clear=frozenset(name for name, value in cleared.items() if value is None),
            )
            row = await info.context.services.tasks.update(
                viewer,
                from_global("Task", input.task_id, path=("taskId",)),
                draft,
                parent_ids=None if parents is None else from_globals("Task", parents, path="parentIds"),
                udf_ids=None if udfs is None else from_globals("Udf", udfs, path="udfIds"),
            )
            return Task.of(row)

        return await refusable(TaskPayload, "task", work())

    @strawberry.mutation(description="Delete a task with its edges; its runs stay in the history.")
    async def delete_task(self, info: Info, input: Annotated[DeleteTaskInput, Input]) -> DeletePayload:
        viewer = info.context.signed_in()

        async def work() -> strawberry.ID:
            await info.context.services.tasks.delete(viewer, from_global("Task", input.task_id, path=("taskId",)))
            return input.task_id

        return await refusable(DeletePayload, "deleted_id", work())

    @strawberry.mutation(description="Replace the whole set of a task's parents; a cycle is refused and named.")
    async def set_task_parents(self, info: Info, input: Annotated[SetTaskParentsInput, Input]) -> TaskPayload:
        viewer = info.context.signed_in()

        async def work() -> Task:
            row = await info.context.services.tasks.set_parents(
                viewer,
                from_global("Task", input.task_id, path=("taskId",)),
                from_globals("Task", input.parent_ids, path="parentIds"),
            )
            return Task.of(row)

        return await refusable(TaskPayload, "task", work())

    @strawberry.mutation(description="Replace all data quality checks of a task's output.")
    async def set_task_checks(self, info: Info, input: Annotated[SetTaskChecksInput, Input]) -> TaskPayload:
        viewer = info.context.signed_in()

        async def work() -> Task:
            row = await info.context.services.tasks.set_checks(
                viewer,
                from_global("Task", input.task_id, path=("taskId",)),
                [check.to_value() for check in input.checks],
            )
            return Task.of(row)

        return await refusable(TaskPayload, "task", work())
