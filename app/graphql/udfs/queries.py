"""Queries of user-defined functions."""

from typing import Annotated

import strawberry

from app.graphql.connections import After, Before, Connection, First, Last, connect, page_request
from app.graphql.context import Info
from app.graphql.udfs.types import Udf


@strawberry.type
class UdfQueries:
    @strawberry.field(description="Your UDFs, the newest first.")
    async def udfs(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        last: Last = None,
        before: Before = None,
        search: Annotated[
            str | None, strawberry.argument(description="Only names and function names that contain this.")
        ] = None,
    ) -> Connection[Udf]:
        viewer = info.context.signed_in()
        request = page_request(first, after, last, before)
        page = await info.context.services.udfs.page(viewer, request, search=search)
        return connect(Connection[Udf], page, Udf.of)
