"""Connections by keyset: pages of at most a hundred, forwards and backwards, never by offset."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import strawberry

from app.domain.errors import InvalidError
from app.graphql.ids import key_of_cursor, to_cursor
from app.store.pages import Page, PageRequest

MAX_PAGE = 100

Item = TypeVar("Item")
Made = TypeVar("Made")

First = Annotated[int | None, strawberry.argument(description="How many from the start, at most 100.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many from the end, at most 100.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before this cursor.")]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last item.")


@strawberry.type(description="An item of a page, with its cursor.")
class Edge(Generic[Item]):
    cursor: str = strawberry.field(description="Give this as `after` or `before`.")
    node: Item = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list, the newest first.")
class Connection(Generic[Item]):
    edges: list[Edge[Item]] = strawberry.field(description="The items with their cursors.")
    nodes: list[Item] = strawberry.field(description="The items alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


def page_request(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None
) -> PageRequest:
    """Raises: InvalidError."""
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= MAX_PAGE:
            raise InvalidError(f"`{name}` is between 0 and {MAX_PAGE}; {size} is not.", path=(name,))
    backward = last is not None
    size = last if backward else first
    return PageRequest(
        size=20 if size is None else size,
        after=key_of_cursor(after, path="after"),
        before=key_of_cursor(before, path="before"),
        backward=backward,
    )


def connect(connection: Callable[..., Made], page: Page[Any], convert: Callable[[Any], Any]) -> Made:
    """The connection type filled with a page of rows, which have an `id`."""
    nodes = [convert(row) for row in page.rows]
    cursors = [cursor_of(row.id) for row in page.rows]
    return connection(
        nodes=nodes,
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)],
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
    )


def cursor_of(key: UUID | int) -> str:
    return to_cursor(key)
