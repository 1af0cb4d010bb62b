"""Playgrounds: making, changing, finding and deleting them, each its owner's alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from app.domain.errors import ConflictError, DomainError, InvalidError, NotFoundError, TakenError
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.parameters import ParameterValue, checked_parameters
from app.domain.schedule import Schedule
from app.domain.templates import PlaygroundFacts
from app.engines.registry import EngineRegistry
from app.models import Playground, Task, TaskEdge
from app.outputs.base import OutputStore, StorageError
from app.services.rendering import check_texts, sample_scope
from app.services.texts import checked_description, checked_name
from app.store.database import Database
from app.store.pages import Page, PageRequest
from app.store.unit_of_work import UnitOfWork

log = structlog.get_logger()

Parameters = Sequence[tuple[str, ParameterValue]]


class PlaygroundService:
    def __init__(self, *, database: Database, outputs: OutputStore, engines: EngineRegistry) -> None:
        self._database = database
        self._outputs = outputs
        self._engines = engines

    async def create(
        self,
        viewer: Viewer,
        *,
        name: str,
        description: str = "",
        schedule: Schedule | None = None,
        parameters: Parameters = (),
    ) -> Playground:
        """Raises: InvalidError, TakenError, TooLargeError."""
        name, at, playground_id = checked_name(name), utc_now(), new_id()
        values = {
            "name": name,
            "description": checked_description(description),
            "parameters": checked_parameters(parameters),
            **_schedule_columns(schedule),
        }

        async def work(unit: UnitOfWork) -> Playground:
            await _refuse_taken(unit, viewer.user_id, name, but=playground_id)
            if await unit.playgrounds.get(playground_id) is None:
                await unit.playgrounds.add(
                    id=playground_id, owner_id=viewer.user_id, created_at=at, modified_at=at, **values
                )
            return await _found(unit, viewer, playground_id)

        return await self._write(work)

    async def update(
        self,
        viewer: Viewer,
        playground_id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        schedule: Schedule | None = None,
        remove_schedule: bool = False,
        parameters: Parameters | None = None,
    ) -> Playground:
        """Change what is given, and leave the rest.

        Raises: NotFoundError, InvalidError, TakenError, TooLargeError; ConflictError where a task's text could not be
        rendered with the new parameters.
        """
        changes: dict[str, Any] = {"modified_at": utc_now()}
        if name is not None:
            changes["name"] = checked_name(name)
        if description is not None:
            changes["description"] = checked_description(description)
        if schedule is not None or remove_schedule:
            changes |= _schedule_columns(schedule)
        if parameters is not None:
            changes["parameters"] = checked_parameters(parameters)

        async def work(unit: UnitOfWork) -> Playground:
            await _found(unit, viewer, playground_id)
            await _check_texts(unit, playground_id, changes)
            if name is not None:
                await _refuse_taken(unit, viewer.user_id, changes["name"], but=playground_id)
            await unit.playgrounds.update(playground_id, **changes)
            return await _found(unit, viewer, playground_id)

        return await self._write(work)

    async def delete(self, viewer: Viewer, playground_id: UUID) -> None:
        """Delete a playground with its tasks, history and outputs.

        Raises: NotFoundError; ConflictError while a run is on.
        """
        folders: set[str] = set()
        tried = False

        async def work(unit: UnitOfWork) -> None:
            nonlocal folders, tried
            ledger = await unit.open_ledger(playground_id)
            if ledger is None and tried:
                return  # this very deletion was committed, and the connection lost before it was told
            if ledger is None or ledger.playground.owner_id != viewer.user_id:
                raise not_found("playground", path=("playgroundId",))
            if ledger.playground.active_run_id is not None:
                raise ConflictError("A run of this playground is on; cancel it, or wait for its end, then delete.")
            if ledger.playground.active_backfill_id is not None:
                raise ConflictError("A backfill of this playground is on; cancel it, or wait for its end, then delete.")
            locations = await unit.playgrounds.output_locations(playground_id)
            folders = {
                "/".join(location.split("/")[:2]) for location in locations
            }  # a playground's of a day, or a run's
            await unit.discards.add(folders, at=utc_now())  # for the scheduler, where this process is killed
            await unit.playgrounds.delete(playground_id)
            tried = True

        await self._database.write(work)
        for folder in folders:
            try:
                await self._outputs.delete(folder)
            except StorageError as error:
                log.warning("playground.outputs_left_to_scheduler", folder=folder, reason=error.message)
        await self._engines.forget(playground_id)

    async def get(self, viewer: Viewer, playground_id: UUID) -> Playground | None:
        async with self._database.read() as unit:
            return await unit.playgrounds.get(playground_id, owner_id=viewer.user_id)

    async def page(self, viewer: Viewer, request: PageRequest, *, search: str | None = None) -> Page[Playground]:
        """Raises: InvalidError."""
        if search is not None and "\0" in search:
            raise InvalidError("A name holds no NUL character, so nothing can be found by one.", path=("search",))
        async with self._database.read() as unit:
            return await unit.playgrounds.page(viewer.user_id, request, search=search)

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Playground]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.playgrounds.get_many(ids)}

    async def tasks_of(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Task]]:
        found: dict[UUID, list[Task]] = {playground_id: [] for playground_id in playground_ids}
        async with self._database.read() as unit:
            for task in await unit.tasks.of_playgrounds(playground_ids):
                found[task.playground_id].append(task)
        return found

    async def edges_of(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TaskEdge]]:
        found: dict[UUID, list[TaskEdge]] = {playground_id: [] for playground_id in playground_ids}
        async with self._database.read() as unit:
            for edge in await unit.tasks.edges_of_playgrounds(playground_ids):
                found[edge.playground_id].append(edge)
        return found

    async def _write(self, work: Any) -> Playground:
        try:
            playground: Playground = await self._database.write(work)
        except IntegrityError as error:  # another request took the name between the look and the write
            raise _name_taken() from error
        return playground


def schedule_of(playground: Playground) -> Schedule | None:
    if playground.schedule_cron is None:
        return None
    return Schedule(
        cron=playground.schedule_cron,
        timezone=playground.schedule_timezone,
        paused=playground.schedule_paused,
        catchup=playground.schedule_catchup,
    )


def not_found(kind: str, *, path: tuple[str, ...] = ()) -> NotFoundError:
    return NotFoundError(f"There is no such {kind}, or it is not yours.", path=path)


def under(prefix: str, error: DomainError) -> DomainError:
    """The same refusal, its path below the input field `prefix`."""
    error.path = (prefix, *error.path)
    return error


def _schedule_columns(schedule: Schedule | None) -> dict[str, Any]:
    if schedule is None:
        return {"schedule_cron": None, "next_fire_at": None}
    return {
        "schedule_cron": schedule.cron,
        "schedule_timezone": schedule.timezone,
        "schedule_paused": schedule.paused,
        "schedule_catchup": schedule.catchup,
        "next_fire_at": None if schedule.paused else schedule.next_fire_time(after=utc_now()),
    }


async def _check_texts(unit: UnitOfWork, playground_id: UUID, changes: Mapping[str, Any]) -> None:
    """Under the playground's lock, so that no task comes to use a name that is being taken away."""
    changed = [field for field in ("parameters", "name") if field in changes]
    ledger = await unit.open_ledger(playground_id) if changed else None
    if ledger is not None:
        scope = sample_scope(ledger.playground, changes.get("parameters"))
        named = replace(scope, playground=PlaygroundFacts(name=changes.get("name", ledger.playground.name)))
        check_texts(await unit.tasks.of_playgrounds([playground_id]), named, path=(changed[0],))


async def _found(unit: UnitOfWork, viewer: Viewer, playground_id: UUID) -> Playground:
    playground = await unit.playgrounds.get(playground_id, owner_id=viewer.user_id)
    if playground is None:
        raise not_found("playground", path=("playgroundId",))
    return playground


async def _refuse_taken(unit: UnitOfWork, owner_id: UUID, name: str, *, but: UUID) -> None:
    if await unit.playgrounds.id_by_name(owner_id, name) not in {None, but}:
        raise _name_taken()


def _name_taken() -> TakenError:
    return TakenError("You have a playground of this name; choose another.", path=("name",))
