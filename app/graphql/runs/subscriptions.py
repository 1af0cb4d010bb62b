"""Subscriptions to runs, playgrounds and logs."""

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import from_global, position_of_cursor
from app.graphql.runs.types import LogBatch, RunEventBatch
from app.graphql.transport.streams import Live

After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Id = Annotated[strawberry.ID, strawberry.argument(description="What to follow.")]


@strawberry.type
class RunSubscriptions:
    @strawberry.subscription(description="All that happens in a run; completes when the run has ended.")
    def run_events(self, info: Info, run_id: Id, after: After = None) -> AsyncIterator[RunEventBatch]:
        viewer = info.context.signed_in()
        key, position = from_global("Run", run_id, path=("runId",)), position_of_cursor(after, path="after")
        return Live(source=info.context.services.run_feeds.run(viewer, key, after=position), event_of=RunEventBatch.of)

    @strawberry.subscription(description="All that happens in any run of a playground, from now on or from a cursor.")
    def playground_events(self, info: Info, playground_id: Id, after: After = None) -> AsyncIterator[RunEventBatch]:
        viewer = info.context.signed_in()
        key = from_global("Playground", playground_id, path=("playgroundId",))
        position = position_of_cursor(after, path="after")
        return Live(
            source=info.context.services.run_feeds.playground(viewer, key, after=position), event_of=RunEventBatch.of
        )

    @strawberry.subscription(description="The log of a task run; completes when the task run has ended.")
    def task_log(self, info: Info, task_run_id: Id, after: After = None) -> AsyncIterator[LogBatch]:
        viewer = info.context.signed_in()
        key, position = (
            from_global("TaskRun", task_run_id, path=("taskRunId",)),
            position_of_cursor(after, path="after"),
        )
        return Live(source=info.context.services.run_feeds.log(viewer, key, after=position), event_of=LogBatch.of)
