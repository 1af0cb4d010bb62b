"""Queries of runs."""

from typing import Annotated

import strawberry

from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.runs.types import Run, TaskRun

Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]


@strawberry.type
class RunQueries:
    @strawberry.field(description="One of your runs; null where there is none with this id.")
    async def run(self, info: Info, id: Id) -> Run | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        row = await info.context.services.runs.get(viewer, key) if kind == "Run" and key is not None else None
        return None if row is None else Run.of(row)

    @strawberry.field(description="One of your task runs; null where there is none with this id.")
    async def task_run(self, info: Info, id: Id) -> TaskRun | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        row = await info.context.services.runs.task_run(viewer, key) if kind == "TaskRun" and key is not None else None
        return None if row is None else TaskRun.of(row)
