"""SQL of tasks and of the edges between them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Playground, Task, TaskEdge


class TaskStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> None:
        await self._session.execute(insert(Task).values(**values))

    async def get(self, task_id: UUID, *, owner_id: UUID | None = None) -> Task | None:
        query = select(Task).where(Task.id == task_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == Task.playground_id).where(Playground.owner_id == owner_id)
        return await self._session.scalar(query)

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Task]:
        return (await self._session.scalars(select(Task).where(Task.id.in_(ids)))).all()

    async def of_playgrounds(self, playground_ids: Collection[UUID]) -> Sequence[Task]:
        query = select(Task).where(Task.playground_id.in_(playground_ids)).order_by(Task.id)
        return (await self._session.scalars(query)).all()

    async def edges_of_playgrounds(self, playground_ids: Collection[UUID]) -> Sequence[TaskEdge]:
        query = (
            select(TaskEdge)
            .where(TaskEdge.playground_id.in_(playground_ids))
            .order_by(TaskEdge.parent_id, TaskEdge.child_id)
        )
        return (await self._session.scalars(query)).all()

    async def id_by_name(self, playground_id: UUID, name: str) -> UUID | None:
        return await self._session.scalar(select(Task.id).where(Task.playground_id == playground_id, Task.name == name))

    async def count(self, playground_id: UUID) -> int:
        query = select(func.count()).select_from(Task).where(Task.playground_id == playground_id)
        return await self._session.scalar(query) or 0

    async def update(self, task_id: UUID, **values: Any) -> None:
        await self._session.execute(update(Task).where(Task.id == task_id).values(**values))

    async def delete(self, task_id: UUID) -> None:
        await self._session.execute(delete(Task).where(Task.id == task_id))

    async def set_parents(self, task: Task, parent_ids: Iterable[UUID]) -> None:
        await self._session.execute(delete(TaskEdge).where(TaskEdge.child_id == task.id))
        rows = [{"parent_id": p, "child_id": task.id, "playground_id": task.playground_id} for p in parent_ids]
        if rows:
            await self._session.execute(insert(TaskEdge), rows)
