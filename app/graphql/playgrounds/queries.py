"""Queries of playgrounds and schedules."""

from typing import Annotated

import strawberry

from app.domain.errors import InvalidError
from app.domain.schedule import Schedule
from app.graphql.connections import After, Before, Connection, First, Last, connect, page_request
from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.playgrounds.types import Count, Playground, SchedulePreview, fire_times


@strawberry.type
class PlaygroundQueries:
    @strawberry.field(description="Your playgrounds, the newest first.")
    async def playgrounds(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        last: Last = None,
        before: Before = None,
        search: Annotated[str | None, strawberry.argument(description="Only names that contain this.")] = None,
    ) -> Connection[Playground]:
        viewer = info.context.signed_in()
        request = page_request(first, after, last, before)
        page = await info.context.services.playgrounds.page(viewer, request, search=search)
        return connect(Connection[Playground], page, Playground.of)

    @strawberry.field(description="One of your playgrounds; null where there is none with this id.")
    async def playground(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Playground | None:
        viewer = info.context.signed_in()
        kind, key = parse_global(id)
        if kind != "Playground" or key is None:
            return None
        row = await info.context.services.playgrounds.get(viewer, key)
        return None if row is None else Playground.of(row)

    @strawberry.field(description="What a cron expression means, before it is used.")
    async def schedule_preview(
        self,
        info: Info,
        cron: Annotated[str, strawberry.argument(description="The expression.")],
        timezone: Annotated[str | None, strawberry.argument(description="An IANA time zone.")] = "UTC",
        count: Count = 5,
    ) -> SchedulePreview:
        info.context.signed_in()
        try:
            value = Schedule(cron=cron, timezone=timezone or "UTC")
        except InvalidError as error:
            return SchedulePreview(valid=False, error=error.message, description="", fire_times=[])
        return SchedulePreview(
            valid=True, error=None, description=value.in_words(), fire_times=fire_times(value, count)
        )
