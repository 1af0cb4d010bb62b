"""Tasks and the edges between them: every change keeps the graph free of cycles."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app.domain.checks.checks import DataCheck
from app.domain.errors import ConflictError, CycleError, InvalidError, NotFoundError, TakenError
from app.domain.events import cancel_topic
from app.domain.graph import find_cycle
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.outputs import OutputFormat
from app.domain.tasks import TaskType
from app.domain.udfs import refuse_kind
from app.engines.registry import EngineRegistry
from app.models import Task
from app.outputs.locations import differences_location
from app.services.checks import checked_checks
from app.services.playgrounds import not_found
from app.services.rendering import check_query
from app.services.texts import checked_name, checked_query
from app.store.database import Database
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

MAX_TASKS = 2_000
MAX_UDFS = 100
MAX_RETRIES = 100
MAX_DELAY_MS = 24 * 3600 * 1000
MAX_TIMEOUT_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDraft:
    """What a person says of a task; None leaves a value as it is (or at its default, for a new task)."""

    name: str | None = None
    type: TaskType | None = None
    query: str | None = None
    connection: str | None = None
    max_retries: int | None = None
    retry_delay_ms: int | None = None
    timeout_ms: int | None = None
    output_format: OutputFormat | None = None
    clear: frozenset[str] = frozenset()  # connection, timeout_ms: set to none


class TaskService:
    def __init__(self, *, database: Database, engines: EngineRegistry | None) -> None:
        self._database = database
        self._engines = engines

    async def create(
        self,
        viewer: Viewer,
        playground_id: UUID,
        draft: TaskDraft,
        *,
        parent_ids: Sequence[UUID] = (),
        udf_ids: Sequence[UUID] = (),
    ) -> Task:
        """Raises: NotFoundError, InvalidError, TakenError, TooLargeError."""
        at, task_id = utc_now(), new_id()
        values = {
            "connection": None,
            "max_retries": 0,
            "retry_delay_ms": 1000,
            "timeout_ms": None,
            "output_format": OutputFormat.CSV,
            **self._checked(draft),
        }

        async def work(unit: UnitOfWork) -> Task:
            ledger = await _locked(unit, viewer, playground_id, path=("playgroundId",))
            check_query(values["query"], type=values["type"], playground=ledger.playground)
            if (done := await unit.tasks.get(task_id)) is not None:
                return done
            if await unit.tasks.count(playground_id) >= MAX_TASKS:
                raise ConflictError(f"A playground has at most {MAX_TASKS} tasks.")
            await _refuse_taken(unit, playground_id, values["name"], but=task_id)
            parents = await _checked_parents(unit, playground_id, parent_ids)
            await unit.tasks.add(id=task_id, playground_id=playground_id, created_at=at, modified_at=at, **values)
            task = await _found(unit, viewer, task_id)
            await unit.tasks.set_parents(task, parents)
            if udf_ids:
                await _replace_udfs(unit, viewer, task, udf_ids)
            return task

        return await self._write(work)

    async def update(
        self,
        viewer: Viewer,
        task_id: UUID,
        draft: TaskDraft,
        *,
        parent_ids: Sequence[UUID] | None = None,
        udf_ids: Sequence[UUID] | None = None,
    ) -> Task:
        """Raises: NotFoundError, InvalidError, TakenError, TooLargeError, CycleError."""

        async def work(unit: UnitOfWork) -> Task:
            task = await _found(unit, viewer, task_id)
            changes = self._checked(draft, type=task.type)
            ledger = await _locked(unit, viewer, task.playground_id)
            if "query" in changes or "type" in changes:
                query, type_ = changes.get("query", task.query), changes.get("type", task.type)
                check_query(query, type=type_, playground=ledger.playground)
            if "name" in changes:
                await _refuse_taken(unit, task.playground_id, changes["name"], but=task_id)
            await unit.tasks.update(task_id, modified_at=utc_now(), **changes)
            if parent_ids is not None:
                await _replace_parents(unit, task, parent_ids)
            if udf_ids is not None:
                await _replace_udfs(unit, viewer, task, udf_ids)
            elif "type" in changes:
                await _check_udfs(unit, task)
            return await _found(unit, viewer, task_id)

        return await self._write(work)

    async def set_parents(self, viewer: Viewer, task_id: UUID, parent_ids: Sequence[UUID]) -> Task:
        """Replace the whole set of parents.

        Raises: NotFoundError, InvalidError, CycleError.
        """

        async def work(unit: UnitOfWork) -> Task:
            task = await _found(unit, viewer, task_id)
            await _locked(unit, viewer, task.playground_id)
            await _replace_parents(unit, task, parent_ids)
            await unit.tasks.update(task_id, modified_at=utc_now())
            return await _found(unit, viewer, task_id)

        return await self._database.write(work)

    async def set_checks(self, viewer: Viewer, task_id: UUID, checks: Sequence[DataCheck]) -> Task:
        """Replace all checks of its output; a run that is on goes on with the old ones.

        Raises: NotFoundError, InvalidError, TooLargeError.
        """
        documents = await checked_checks(checks)

        async def work(unit: UnitOfWork) -> Task:
            task = await _found(unit, viewer, task_id)
            await _locked(unit, viewer, task.playground_id)
            await unit.tasks.update(task_id, checks=documents, modified_at=utc_now())
            return await _found(unit, viewer, task_id)

        return await self._database.write(work)

    async def delete(self, viewer: Viewer, task_id: UUID) -> None:
        """Delete a task with its edges; its runs stay in the history.

        Raises: NotFoundError.
        """
        tried = False

        async def work(unit: UnitOfWork) -> None:
            nonlocal tried
            if tried and await unit.tasks.get(task_id) is None:
                return  # this very deletion was committed, and the connection lost before it was told
            task = await _found(unit, viewer, task_id)
            await _locked(unit, viewer, task.playground_id)
            comparisons = await unit.reconciliations.ids_of_runs_with(task_id)  # they go with their reconciliations
            await unit.discards.add([differences_location(run_id) for run_id in comparisons], at=utc_now())
            await unit.tasks.delete(task_id)
            unit.outbox.ring(cancel_topic())  # a comparison that is under way has nobody to tell any more
            tried = True

        await self._database.write(work)

    async def get(self, viewer: Viewer, task_id: UUID) -> Task | None:
        async with self._database.read() as unit:
            return await unit.tasks.get(task_id, owner_id=viewer.user_id)

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Task]:
        async with self._database.read() as unit:
            return {task.id: task for task in await unit.tasks.get_many(ids)}

    def _checked(self, draft: TaskDraft, *, type: TaskType | None = None) -> dict[str, Any]:
        values: dict[str, Any] = dict.fromkeys(draft.clear)
        if draft.name is not None:
            values["name"] = checked_name(draft.name)
        if draft.query is not None:
            values["query"] = checked_query(draft.query)
        if draft.type is not None:
            values["type"] = draft.type
        if draft.connection is not None:
            values["connection"] = draft.connection
            self._check_connection(draft.type or type, draft.connection)
        for field, value, low, high in (
            ("maxRetries", draft.max_retries, 0, MAX_RETRIES),
            ("retryDelayMs", draft.retry_delay_ms, 0, MAX_DELAY_MS),
            ("timeoutMs", draft.timeout_ms, 1, MAX_TIMEOUT_MS),
        ):
            if value is not None and not low <= value <= high:
                raise InvalidError(f"{field} is between {low} and {high}; {value} is not.", path=(field,))
        for name in ("max_retries", "retry_delay_ms", "timeout_ms", "output_format"):
            if (given := getattr(draft, name)) is not None:
                values[name] = given
        return values

    def _check_connection(self, type: TaskType | None, name: str) -> None:
        if self._engines is None or type is None:
            return
        try:
            self._engines.engine_for(type, name)
        except (InvalidError, NotFoundError) as error:
            raise InvalidError(error.message, path=("connection",)) from error

    async def _write(self, work: Any) -> Task:
        try:
            task: Task = await self._database.write(work)
        except IntegrityError as error:  # another request took the name between the look and the write
            raise _name_taken() from error
        return task


async def _locked(unit: UnitOfWork, viewer: Viewer, playground_id: UUID, *, path: tuple[str, ...] = ()) -> Ledger:
    """Edits of one graph come one after the other: two that each make half a cycle cannot both pass the check."""
    ledger = await unit.open_ledger(playground_id)
    if ledger is None or ledger.playground.owner_id != viewer.user_id:
        raise not_found("playground", path=path)
    return ledger


async def _found(unit: UnitOfWork, viewer: Viewer, task_id: UUID) -> Task:
    task = await unit.tasks.get(task_id, owner_id=viewer.user_id)
    if task is None:
        raise not_found("task", path=("taskId",))
    return task


async def _checked_parents(unit: UnitOfWork, playground_id: UUID, parent_ids: Sequence[UUID]) -> list[UUID]:
    parents = list(dict.fromkeys(parent_ids))
    known = {task.id for task in await unit.tasks.of_playgrounds([playground_id])} if parents else set()
    for index, parent in enumerate(parent_ids):
        if parent not in known:
            raise NotFoundError("This parent is no task of the playground.", path=("parentIds", str(index)))
    return parents


async def _replace_parents(unit: UnitOfWork, task: Task, parent_ids: Sequence[UUID]) -> None:
    parents = await _checked_parents(unit, task.playground_id, parent_ids)
    names = {row.id: row.name for row in await unit.tasks.of_playgrounds([task.playground_id])}
    graph: dict[UUID, list[UUID]] = {task.id: parents}
    for edge in await unit.tasks.edges_of_playgrounds([task.playground_id]):
        if edge.child_id != task.id:
            graph.setdefault(edge.child_id, []).append(edge.parent_id)
    if (cycle := find_cycle(graph)) is not None:
        trail = " → ".join(f"«{names[node]}»" for node in cycle)
        raise CycleError(f"These parents would close a cycle: {trail}.", path=("parentIds",))
    await unit.tasks.set_parents(task, parents)


async def _replace_udfs(unit: UnitOfWork, viewer: Viewer, task: Task, udf_ids: Sequence[UUID]) -> None:
    """Raises: NotFoundError, InvalidError with a path below `udfIds`."""
    wanted = list(dict.fromkeys(udf_ids))
    if len(wanted) > MAX_UDFS:
        raise InvalidError(f"A task has at most {MAX_UDFS} UDFs; these are {len(wanted)}.", path=("udfIds",))
    known = {udf.id: udf for udf in await unit.udfs.locked(wanted, owner_id=viewer.user_id)}
    for index, udf_id in enumerate(udf_ids):
        if (udf := known.get(udf_id)) is None:
            raise not_found("UDF", path=("udfIds", str(index)))
        refuse_kind(task.type, udf.kind, udf.name, path=("udfIds", str(index)))
    await unit.udfs.set_of_task(task.id, wanted)


async def _check_udfs(unit: UnitOfWork, task: Task) -> None:
    """Raises: InvalidError where a task of its new type cannot call the functions that it has."""
    for udf in (await unit.udfs.of_tasks([task.id])).get(task.id, ()):
        refuse_kind(task.type, udf.kind, udf.name, path=("type",))


async def _refuse_taken(unit: UnitOfWork, playground_id: UUID, name: str, *, but: UUID) -> None:
    if await unit.tasks.id_by_name(playground_id, name) not in {None, but}:
        raise _name_taken()


def _name_taken() -> TakenError:
    return TakenError("The playground has a task of this name; choose another.", path=("name",))
