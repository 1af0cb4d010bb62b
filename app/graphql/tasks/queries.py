"""Queries of tasks."""

from typing import Annotated

import strawberry

from app.domain.tasks import TaskType
from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.tasks.types import QueryFields, Task
from app.services.fields import FieldsAsked
from app.services.playgrounds import not_found
from app.services.texts import checked_query


@strawberry.type
class TaskQueries:
    @strawberry.field(description="One of your tasks; null where there is none with this id.")
    async def task(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Task | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        row = await info.context.services.tasks.get(viewer, key) if kind == "Task" and key is not None else None
        return None if row is None else Task.of(row)

    @strawberry.field(description="The output columns of a query, found by reading its text.")
    async def query_fields(
        self,
        info: Info,
        type: Annotated[TaskType, strawberry.argument(description="The language of the text.")],
        query: Annotated[str, strawberry.argument(description="The text; a template is read with samples.")],
        connection: Annotated[
            str | None, strawberry.argument(description="The connection whose tables `*` stands for.")
        ] = None,
        playground_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The playground whose values and tables the text may name."),
        ] = None,
    ) -> QueryFields:
        viewer = info.context.signed_in()
        playground = None
        if playground_id is not None:
            kind, key = parse_global(playground_id)
            if kind == "Playground" and key is not None:
                playground = await info.context.services.playgrounds.get(viewer, key)
            if playground is None:
                raise not_found("playground", path=("playgroundId",))
        asked = FieldsAsked(type=type, text=checked_query(query), connection=connection, playground=playground)
        (fields,) = await info.context.services.fields.fields([asked])
        return QueryFields.of(fields)
