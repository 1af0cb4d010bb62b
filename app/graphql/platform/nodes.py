"""Objects of any type by their global ids, many at once: a statement for each type, and one for whose they are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.graphql.accounts.types import User
from app.graphql.backfills.types import Backfill
from app.graphql.context import Info
from app.graphql.ids import parse_global
from app.graphql.loaders import Loaders
from app.graphql.node import Node
from app.graphql.playgrounds.types import Playground
from app.graphql.reconciliations.types import Reconciliation, ReconciliationRun
from app.graphql.runs.types import Run, TaskRun
from app.graphql.tasks.types import Task
from app.graphql.udfs.types import Udf


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """How rows of a type are loaded and shown. What has no owner of its own is of a playground, and so of its owner."""

    loader: Callable[[Loaders], DataLoader[UUID, Any]]
    show: Callable[[Any], Node]


_KINDS: Mapping[str, _Kind] = {
    "Playground": _Kind(loader=lambda loaders: loaders.playground, show=Playground.of),
    "Task": _Kind(loader=lambda loaders: loaders.task, show=Task.of),
    "Udf": _Kind(loader=lambda loaders: loaders.udf, show=Udf.of),
    "Run": _Kind(loader=lambda loaders: loaders.run, show=Run.of),
    "Backfill": _Kind(loader=lambda loaders: loaders.backfill, show=Backfill.of),
    "TaskRun": _Kind(loader=lambda loaders: loaders.task_run, show=TaskRun.of),
    "Reconciliation": _Kind(loader=lambda loaders: loaders.reconciliation, show=Reconciliation.of),
    "ReconciliationRun": _Kind(loader=lambda loaders: loaders.pair_run, show=ReconciliationRun.of),
}


async def find_nodes(info: Info, ids: Sequence[str]) -> list[Node | None]:
    """In the order of the ids; None for what there is not, and for what is another's."""
    found = await asyncio.gather(*(_load(info, id_) for id_ in ids))
    # Only now: asked for as the rows come in, the playgrounds would take a statement for each type.
    playground_ids = {row.playground_id for _, row in found if hasattr(row, "playground_id")}
    playgrounds = await info.context.loaders.playground.load_many(sorted(playground_ids))
    owners = {row.id: row.owner_id for row in playgrounds if row is not None}
    viewer = info.context.signed_in()
    nodes = [show(row) if _owner(row, owners) == viewer.user_id else None for show, row in found]
    for index, id_ in enumerate(ids):
        if parse_global(id_) == ("User", viewer.user_id):
            user = await info.context.loaders.user.load(viewer.user_id)
            nodes[index] = None if user is None else User.of(user)
    return nodes


async def _load(info: Info, id_: str) -> tuple[Callable[[Any], Node], Any]:
    name, key = parse_global(id_)
    kind = _KINDS.get(name)
    if kind is None or key is None:
        return Playground.of, None
    return kind.show, await kind.loader(info.context.loaders).load(key)


def _owner(row: Any, owners: Mapping[UUID, UUID]) -> UUID | None:
    """Whose a row is; `owners` are the playgrounds'."""
    if row is None:
        return None
    owner_id: UUID | None = row.owner_id if hasattr(row, "owner_id") else owners.get(row.playground_id)
    return owner_id
