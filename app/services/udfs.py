"""User-defined functions: uploading, changing, finding and deleting them, each its owner's alone."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app.domain.errors import ConflictError, InvalidError, TakenError, TooLargeError
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.jars import FunctionClass, JarFacts, function_class, jar_facts
from app.domain.udfs import (
    TakenUdf,
    UdfKind,
    checked_class_name,
    checked_function_name,
    checked_parameter_types,
    checked_return_type,
    refuse_kind,
)
from app.models import Task, Udf
from app.services.jar_files import JarFiles
from app.services.jars import Jars
from app.services.playgrounds import not_found
from app.services.texts import checked_description, checked_name
from app.store.database import Database
from app.store.pages import Page, PageRequest
from app.store.unit_of_work import UnitOfWork

MAX_UDFS = 1_000
MAX_NAMED = 5
_LOOKED_INTO = frozenset({"class_name", "parameter_types", "return_type"})  # what the JAR has a say in


@dataclass(frozen=True, kw_only=True, slots=True)
class UdfDraft:
    """What a person says of a function; None leaves a value as it is (or at its default, for a new one)."""

    name: str | None = None
    function_name: str | None = None
    class_name: str | None = None
    description: str | None = None
    parameter_types: Sequence[str] | None = None
    return_type: str | None = None  # an empty text takes it away
    kind: UdfKind | None = None  # where the JAR alone does not tell


class UdfService:
    def __init__(self, *, database: Database, jars: Jars, files: JarFiles, max_jar_bytes: int) -> None:
        self._database = database
        self._jars = jars
        self._files = files
        self._max_jar_bytes = max_jar_bytes

    async def upload(self, viewer: Viewer, draft: UdfDraft, jar: BinaryIO) -> Udf:
        """Raises: InvalidError, TakenError, TooLargeError; ConflictError for too many."""
        udf_id, at = new_id(), utc_now()
        values = {"description": "", "parameter_types": [], "return_type": None, **_checked(draft)}
        self._refuse_large(jar)
        values |= await _looked_into(jar, values, said=draft.kind)
        await self._refuse_early(viewer, values, but=udf_id)
        await self._jars.store(jar, JarFacts(sha256=values["jar_sha256"], size_bytes=values["jar_size_bytes"]))

        async def work(unit: UnitOfWork) -> Udf:
            await _refuse_taken(unit, viewer, values, but=udf_id)
            if await unit.udfs.get(udf_id, owner_id=viewer.user_id) is None:
                await unit.udfs.add(id=udf_id, owner_id=viewer.user_id, created_at=at, modified_at=at, **values)
            return await _found(unit, viewer, udf_id)

        return await self._write(work)

    async def update(self, viewer: Viewer, udf_id: UUID, draft: UdfDraft, jar: BinaryIO | None = None) -> Udf:
        """Change what is given, and leave the rest; runs that have started keep what they have taken.

        Raises: NotFoundError, InvalidError, TakenError, TooLargeError; ConflictError where a task that has it could
        not call it any more.
        """
        async with self._database.read() as unit:
            before = await _found(unit, viewer, udf_id)
        changes: dict[str, Any] = {**_checked(draft), "modified_at": utc_now()}
        if jar is not None or changes.keys() & _LOOKED_INTO or draft.kind:
            changes |= await self._looked_into_again(before, changes, jar, said=draft.kind)
            if jar is not None:
                facts = JarFacts(sha256=changes["jar_sha256"], size_bytes=changes["jar_size_bytes"])
                await self._jars.store(jar, facts)

        async def work(unit: UnitOfWork) -> Udf:
            await _refuse_taken(unit, viewer, changes, but=udf_id)
            udf = await _found(unit, viewer, udf_id, locked=True)
            if "kind" in changes:
                if udf.modified_at not in {before.modified_at, changes["modified_at"]}:
                    raise _overtaken()  # another JAR or class than was looked into
                await _refuse_users(unit, udf, changes["kind"])
            if jar is not None:
                await unit.udfs.change_jar(udf.jar_sha256, touched_at=utc_now())
            await unit.udfs.update(udf_id, **changes)
            return await _found(unit, viewer, udf_id)

        return await self._write(work)

    async def delete(self, viewer: Viewer, udf_id: UUID) -> None:
        """Delete a function that no task has; runs that have taken it keep their JAR.

        Raises: NotFoundError; ConflictError naming the tasks that have it.
        """
        tried = False

        async def work(unit: UnitOfWork) -> None:
            nonlocal tried
            udf = await unit.udfs.get(udf_id, owner_id=viewer.user_id, locked=True)
            if udf is None and tried:
                return  # this very deletion was committed, and the connection lost before it was told
            if udf is None:
                raise not_found("UDF", path=("udfId",))
            if users := (await unit.udfs.users_of([udf_id])).get(udf_id):
                raise ConflictError(
                    f"«{udf.name}» is used by {await _named(unit, users)}: take it out of there first (updateTask "
                    f"with other udfIds), then delete it.",
                    path=("udfId",),
                )
            await unit.udfs.change_jar(udf.jar_sha256, touched_at=utc_now())
            await unit.udfs.delete(udf_id)
            tried = True

        await self._database.write(work)

    async def page(self, viewer: Viewer, request: PageRequest, *, search: str | None = None) -> Page[Udf]:
        """Raises: InvalidError."""
        if search is not None and "\0" in search:
            raise InvalidError("A name holds no NUL character, so nothing can be found by one.", path=("search",))
        async with self._database.read() as unit:
            return await unit.udfs.page(viewer.user_id, request, search=search)

    # ---- many at once

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Udf]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.udfs.get_many(ids)}

    async def of_tasks(self, task_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Udf]]:
        async with self._database.read() as unit:
            return await unit.udfs.of_tasks(task_ids)

    async def users_of(self, udf_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Task]]:
        async with self._database.read() as unit:
            return await unit.udfs.users_of(udf_ids)

    async def of_task_runs(self, task_run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TakenUdf]]:
        async with self._database.read() as unit:
            return await unit.udfs.of_task_runs(task_run_ids)

    # ---- what the JAR says

    async def _looked_into_again(
        self, before: Udf, changes: Mapping[str, Any], jar: BinaryIO | None, *, said: UdfKind | None
    ) -> dict[str, Any]:
        values = {name: changes.get(name, getattr(before, name)) for name in _LOOKED_INTO}
        known = before.kind if values["class_name"] == before.class_name else None
        if jar is not None:
            self._refuse_large(jar)
            return await _looked_into(jar, values, said=said, known=known)
        async with self._database.read() as unit:
            row = await unit.udfs.jar(before.jar_sha256)
        if row is None:
            raise _overtaken()
        path = await self._files.path(row.location, row.sha256)
        with await asyncio.to_thread(path.open, "rb") as file:
            return await _looked_into(file, values, said=said, known=known)

    def _refuse_large(self, jar: BinaryIO) -> None:
        """Raises: TooLargeError."""
        if (size := jar.seek(0, 2)) > self._max_jar_bytes:
            raise TooLargeError(
                f"A JAR has at most {self._max_jar_bytes:,} bytes; this one has {size:,}. Leave out of it what Hive "
                f"and Spark bring themselves, or have `udfs.max_jar_size` raised in the settings.",
                path=("jar",),
            )

    async def _refuse_early(self, viewer: Viewer, values: Mapping[str, Any], *, but: UUID) -> None:
        """Before the JAR is stored for nothing."""
        async with self._database.read() as unit:
            await _refuse_taken(unit, viewer, values, but=but)
            if await unit.udfs.count(viewer.user_id) >= MAX_UDFS:
                raise ConflictError(f"You have {MAX_UDFS} UDFs, and nobody has more; delete one that no task uses.")

    async def _write(self, work: Any) -> Udf:
        try:
            udf: Udf = await self._database.write(work)
        except IntegrityError as error:  # another request took a name between the look and the write
            raise _name_taken() from error
        return udf


def _checked(draft: UdfDraft) -> dict[str, Any]:
    """Raises: InvalidError, TooLargeError."""
    values: dict[str, Any] = {}
    if draft.name is not None:
        values["name"] = checked_name(draft.name)
    if draft.function_name is not None:
        values["function_name"] = checked_function_name(draft.function_name)
        values["function_key"] = values["function_name"].lower()
    if draft.class_name is not None:
        values["class_name"] = checked_class_name(draft.class_name)
    if draft.description is not None:
        values["description"] = checked_description(draft.description)
    if draft.parameter_types is not None:
        values["parameter_types"] = checked_parameter_types(draft.parameter_types)
    if draft.return_type is not None:
        values["return_type"] = checked_return_type(draft.return_type)
    return values


async def _looked_into(
    jar: BinaryIO, values: Mapping[str, Any], *, said: UdfKind | None, known: UdfKind | None = None
) -> dict[str, Any]:
    """The columns that the JAR gives. In threads: reading 50 MB takes a while."""
    function = await asyncio.to_thread(function_class, jar, values["class_name"])
    kind = _kind(function, values["class_name"], said, known)
    if kind is UdfKind.SPARK:
        _check_spark(function.arity, values)
    facts = await asyncio.to_thread(jar_facts, jar)
    return {"kind": kind, "jar_sha256": facts.sha256, "jar_size_bytes": facts.size_bytes}


def _kind(function: FunctionClass, class_name: str, said: UdfKind | None, known: UdfKind | None) -> UdfKind:
    """As the JAR tells, or where that leads out of it, as the uploader says, or has said of the same class."""
    if function.kind is not None and said not in {None, function.kind}:
        raise InvalidError(f"{class_name} is a {function.kind} function; leave `kind` out.", path=("kind",))
    kind = function.kind or said or known
    if kind is None:
        raise InvalidError(
            f"{class_name} extends {function.unknown}, which the JAR does not hold, so it cannot be told whether it is "
            f"a function of Hive or of Spark. Pack that class into the JAR, or say which by `kind`.",
            path=("kind",),
        )
    return kind


def _check_spark(arity: int | None, values: Mapping[str, Any]) -> None:
    if values["return_type"] is None:
        raise InvalidError(
            "A Spark function does not say itself what type it gives: name its returnType, such as string or bigint.",
            path=("returnType",),
        )
    given = len(values["parameter_types"])
    if arity is not None and given and given != arity:
        raise InvalidError(
            f"{values['class_name']} is a UDF{arity}, which takes {arity} values; these are {given} types.",
            path=("parameterTypes",),
        )


async def _refuse_users(unit: UnitOfWork, udf: Udf, kind: UdfKind) -> None:
    """Raises: ConflictError where a task that has the function could not call it any more."""
    users = (await unit.udfs.users_of([udf.id])).get(udf.id, [])
    lost = []
    for task in users:
        try:
            refuse_kind(task.type, kind, udf.name, path=())
        except InvalidError:
            lost.append(task)
    if lost:
        raise ConflictError(
            f"This class is a {kind} function, which {await _named(unit, lost)} could not call: take «{udf.name}» out "
            f"of there first, or upload the class as another UDF.",
            path=("className",),
        )


async def _named(unit: UnitOfWork, tasks: Sequence[Task]) -> str:
    """The tasks by their names and their playgrounds', the first of them where they are many."""
    playgrounds = {row.id: row.name for row in await unit.playgrounds.get_many({task.playground_id for task in tasks})}
    named = [f"«{task.name}» of «{playgrounds.get(task.playground_id, '')}»" for task in tasks[:MAX_NAMED]]
    more = f" and {len(tasks) - MAX_NAMED} more" if len(tasks) > MAX_NAMED else ""
    return f"the {'task' if len(tasks) == 1 else 'tasks'} {', '.join(named)}{more}"


async def _found(unit: UnitOfWork, viewer: Viewer, udf_id: UUID, *, locked: bool = False) -> Udf:
    udf = await unit.udfs.get(udf_id, owner_id=viewer.user_id, locked=locked)
    if udf is None:
        raise not_found("UDF", path=("udfId",))
    return udf


async def _refuse_taken(unit: UnitOfWork, viewer: Viewer, values: Mapping[str, Any], *, but: UUID) -> None:
    name, key = values.get("name"), values.get("function_key")
    for other in await unit.udfs.taken(viewer.user_id, name=name, function_key=key, but=but):
        if other.name == name:
            raise _name_taken()
        raise TakenError(
            f"Your UDF «{other.name}» is called {other.function_name} already, and SQL takes no heed of case; choose "
            f"another function name, or change that one.",
            path=("functionName",),
        )


def _overtaken() -> ConflictError:
    return ConflictError(
        "This UDF was changed by another request just now; look at it, and try again.", path=("udfId",)
    )


def _name_taken() -> TakenError:
    return TakenError("You have a UDF of this name, or one that is called by it; choose another.", path=("name",))
