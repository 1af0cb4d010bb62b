"""SQL of user-defined functions, of the tasks that have them, and of their JARs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.udfs import TakenUdf, taken_of
from app.models import Jar, Task, TaskRun, TaskRunJar, TaskUdf, Udf
from app.store.pages import Page, PageRequest, newest_first


class UdfStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    # ---- functions

    async def add(self, **values: Any) -> None:
        await self._session.execute(insert(Udf).values(**values))

    async def get(self, udf_id: UUID, *, owner_id: UUID, locked: bool = False) -> Udf | None:
        """`locked`: until this transaction ends, no task takes it up, and nobody changes or deletes it."""
        query = select(Udf).where(Udf.id == udf_id, Udf.owner_id == owner_id)
        if locked:
            query = query.with_for_update()
        return await self._session.scalar(query.execution_options(populate_existing=True))

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Udf]:
        return (await self._session.scalars(select(Udf).where(Udf.id.in_(ids)))).all()

    async def locked(self, ids: Collection[UUID], *, owner_id: UUID) -> Sequence[Udf]:
        """Those of the owner's, which nobody changes or deletes until this transaction ends."""
        if not ids:
            return ()
        query = select(Udf).where(Udf.id.in_(ids), Udf.owner_id == owner_id).order_by(Udf.id)
        return (await self._session.scalars(query.with_for_update())).all()

    async def taken(self, owner_id: UUID, *, name: str | None, function_key: str | None, but: UUID) -> Sequence[Udf]:
        """The owner's other functions that have this name, or are called by it."""
        query = select(Udf).where(
            Udf.owner_id == owner_id, Udf.id != but, or_(Udf.name == name, Udf.function_key == function_key)
        )
        return (await self._session.scalars(query)).all()

    async def count(self, owner_id: UUID) -> int:
        return await self._session.scalar(select(func.count()).select_from(Udf).where(Udf.owner_id == owner_id)) or 0

    async def page(self, owner_id: UUID, request: PageRequest, *, search: str | None) -> Page[Udf]:
        query = select(Udf).where(Udf.owner_id == owner_id)
        if search:
            query = query.where(
                or_(
                    Udf.name.icontains(search, autoescape=True),
                    Udf.function_key.contains(search.lower(), autoescape=True),
                )
            )
        return await newest_first(self._session, query, Udf.id, request)

    async def update(self, udf_id: UUID, **values: Any) -> None:
        await self._session.execute(update(Udf).where(Udf.id == udf_id).values(**values))

    async def delete(self, udf_id: UUID) -> None:
        await self._session.execute(delete(Udf).where(Udf.id == udf_id))

    # ---- tasks that have them

    async def of_tasks(self, task_ids: Collection[UUID]) -> dict[UUID, list[Udf]]:
        """By task, in the order in which they were uploaded."""
        query = (
            select(TaskUdf.task_id, Udf)
            .join(Udf, Udf.id == TaskUdf.udf_id)
            .where(TaskUdf.task_id.in_(task_ids))
            .order_by(Udf.id)
        )
        found: dict[UUID, list[Udf]] = {}
        for task_id, udf in await self._session.execute(query):
            found.setdefault(task_id, []).append(udf)
        return found

    async def users_of(self, udf_ids: Collection[UUID]) -> dict[UUID, list[Task]]:
        """The tasks that have each of them, in the order in which these were made."""
        query = (
            select(TaskUdf.udf_id, Task)
            .join(Task, Task.id == TaskUdf.task_id)
            .where(TaskUdf.udf_id.in_(udf_ids))
            .order_by(Task.id)
        )
        found: dict[UUID, list[Task]] = {}
        for udf_id, task in await self._session.execute(query):
            found.setdefault(udf_id, []).append(task)
        return found

    async def set_of_task(self, task_id: UUID, udf_ids: Collection[UUID]) -> None:
        await self._session.execute(delete(TaskUdf).where(TaskUdf.task_id == task_id))
        if udf_ids:
            rows = [{"task_id": task_id, "udf_id": udf_id} for udf_id in udf_ids]
            await self._session.execute(insert(TaskUdf), rows)

    # ---- what runs take

    async def taken_by_tasks_of(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TakenUdf]]:
        """By task, of all tasks of these playgrounds, as a run that starts now has them."""
        query = (
            select(TaskUdf.task_id, Udf, Jar.location)
            .join(Task, Task.id == TaskUdf.task_id)
            .join(Udf, Udf.id == TaskUdf.udf_id)
            .join(Jar, Jar.sha256 == Udf.jar_sha256)
            .where(Task.playground_id.in_(playground_ids))
            .order_by(Udf.id)
        )
        found: dict[UUID, list[TakenUdf]] = {}
        for task_id, udf, location in await self._session.execute(query):
            found.setdefault(task_id, []).append(_taken(udf, location))
        return found

    async def of_task_runs(self, task_run_ids: Collection[UUID]) -> dict[UUID, Sequence[TakenUdf]]:
        """What the snapshots of task runs have."""
        query = select(TaskRun.id, TaskRun.udfs).where(TaskRun.id.in_(task_run_ids), TaskRun.udfs.is_not(None))
        return {row[0]: taken_of(row[1]) for row in await self._session.execute(query)}

    async def keep_for_runs(self, jars: Collection[tuple[UUID, str]]) -> None:
        """Keep the JARs, by their digests, as long as the history has the task runs."""
        rows = [{"task_run_id": task_run_id, "jar_sha256": sha256} for task_run_id, sha256 in jars]
        if rows:
            await self._session.execute(insert(TaskRunJar), rows)

    # ---- their JARs

    async def jar(self, sha256: str, *, locked: bool = False) -> Jar | None:
        """`locked`: nobody deletes it until this transaction ends."""
        query = select(Jar).where(Jar.sha256 == sha256)
        return await self._session.scalar(query.with_for_update() if locked else query)

    async def add_jar(self, **values: Any) -> None:
        await self._session.execute(insert(Jar).values(**values))

    async def change_jar(self, sha256: str, **values: Any) -> None:
        await self._session.execute(update(Jar).where(Jar.sha256 == sha256).values(**values))

    async def unused_jars(self, *, before: datetime, limit: int) -> Sequence[Jar]:
        """Those that nothing names, and that nobody has come to since."""
        query = select(Jar).where(Jar.touched_at < before, *_UNUSED).order_by(Jar.touched_at).limit(limit)
        return (await self._session.scalars(query)).all()

    async def delete_jar(self, jar: Jar) -> bool:
        """False where somebody has come to it since it was looked at."""
        same = (Jar.sha256 == jar.sha256, Jar.touched_at == jar.touched_at)
        result = await self._session.execute(
            delete(Jar).where(*same, *_UNUSED), execution_options={"synchronize_session": False}
        )
        return isinstance(result, CursorResult) and bool(result.rowcount)


_UNUSED = (~exists().where(Udf.jar_sha256 == Jar.sha256), ~exists().where(TaskRunJar.jar_sha256 == Jar.sha256))


def _taken(udf: Udf, location: str) -> TakenUdf:
    return TakenUdf(
        function_name=udf.function_name,
        class_name=udf.class_name,
        kind=udf.kind,
        jar_sha256=udf.jar_sha256,
        location=location,
        parameter_types=tuple(udf.parameter_types),
        return_type=udf.return_type,
    )
