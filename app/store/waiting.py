"""SQL of what waits for a slot, and of what holds one: by group, so that a look costs what is different."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.dispatch import Group, Pool
from app.domain.status import TaskRunStatus
from app.models import DispatchLock, Playground, TaskRun
from app.store.clock import database_now

KEY = (TaskRun.playground_id, TaskRun.pool, TaskRun.lane)  # the index goes on so after the status


_oldest = (
    select(*KEY, func.min(TaskRun.queued_at).label("since"))
    .where(TaskRun.status == TaskRunStatus.QUEUED)
    .group_by(*KEY)
    .subquery()
)
_counts = (
    select(*KEY, func.count().label("held")).where(TaskRun.status == TaskRunStatus.RUNNING).group_by(*KEY).subquery()
)
# Built once, as those of the ledger.
GROUPS = (
    select(_oldest, Playground.owner_id)
    .join(Playground, Playground.id == _oldest.c.playground_id)
    .where(_oldest.c.since <= database_now())
)
RUNNING = select(_counts, Playground.owner_id).join(Playground, Playground.id == _counts.c.playground_id)
OLDEST = (
    select(TaskRun)
    .where(
        TaskRun.status == TaskRunStatus.QUEUED,
        TaskRun.playground_id == bindparam("of"),
        TaskRun.pool == bindparam("of_pool"),
        TaskRun.lane == bindparam("of_lane"),
        TaskRun.queued_at <= database_now(),
    )
    .order_by(TaskRun.queued_at, TaskRun.id)
    .limit(bindparam("most"))
    .execution_options(populate_existing=True)
)


class WaitingStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def lock(self) -> None:
        """Be the only one in the platform who hands out slots, until this transaction ends."""
        await self._session.execute(select(DispatchLock.id).with_for_update())

    async def groups(self) -> dict[Group, datetime]:
        """The groups in which a task run is queued and due, with the time that the oldest waits since."""
        return {_group(row): row.since for row in await self._session.execute(GROUPS)}

    async def running(self) -> dict[Group, int]:
        """How many task runs of each group hold a slot."""
        return {_group(row): row.held for row in await self._session.execute(RUNNING)}

    async def oldest(self, playground_id: UUID, place: tuple[Pool, str], *, limit: int) -> Sequence[TaskRun]:
        """What waits longest in a playground, of a pool and lane; under the playground's lock."""
        pool, lane = place
        parameters = {"of": playground_id, "of_pool": pool, "of_lane": lane, "most": limit}
        return (await self._session.scalars(OLDEST, parameters)).all()


def _group(row: Row[Any]) -> Group:
    return Group(playground_id=row.playground_id, owner_id=row.owner_id, pool=row.pool, lane=row.lane)
