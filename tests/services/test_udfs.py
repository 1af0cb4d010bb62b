"""Functions and runs: a run keeps what it has taken, a JAR is kept once and as long as anything names it."""

import asyncio
import hashlib
import os
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from app.domain.errors import ConflictError, InvalidError, NotFoundError, TakenError, TooLargeError
from app.domain.identity import utc_now
from app.domain.jars import jar_facts
from app.domain.status import RunStatus, TaskRunStatus
from app.domain.tasks import TaskType
from app.domain.udfs import UdfKind
from app.engines.base import TerminalEngineError, WorkUdf
from app.models import Jar, Playground, Run, Task, TaskRun, Udf
from app.outputs.local import LocalOutputStore
from app.services.discards import DiscardService
from app.services.jar_files import UNUSED_SECONDS, JarFiles
from app.services.jars import KEPT, Jars
from app.services.tasks import TaskDraft
from app.services.udfs import UdfDraft
from tests.support.jars import HIVE_UDF, class_file, hive_jar, jar, path_of, spark_jar
from tests.support.workbench import Workbench

BOTH = {path_of(f"com.example.{name}"): class_file(f"com.example.{name}", extends="a.Base") for name in ("A", "B")}
LATER = timedelta(hours=2)


async def with_task(bench: Workbench, *udfs: Udf, type_: TaskType = TaskType.HIVE) -> tuple[Playground, Task]:
    playground = await bench.playground()
    draft = TaskDraft(name="t", type=type_, query="t", retry_delay_ms=0)
    task = await bench.services.tasks.create(bench.viewer, playground.id, draft, udf_ids=[udf.id for udf in udfs])
    return playground, task


async def worked(bench: Workbench, run: Run) -> tuple[WorkUdf, ...]:
    """The functions that the engine got with the newest work."""
    async with bench.worker():
        await bench.end_of(run)
    return [*bench.cluster.jobs.values()][-1].work.udfs


async def jar_rows(bench: Workbench) -> list[Jar]:
    return [row[0] for row in await bench.rows(Jar.__table__.select().with_only_columns(Jar.sha256))]


def stored_files(bench: Workbench) -> list[Path]:
    return sorted((bench.process.settings.outputs.directory / "udfs").rglob("*.jar"))


async def cleared(bench: Workbench, *, after: timedelta = LATER) -> int:
    """What the scheduler does, so much later; tells how many JARs went."""
    jars = Jars(database=bench.database, outputs=bench.process.outputs, clock=lambda: utc_now() + after)
    count = await jars.clear()
    await DiscardService(database=bench.database, outputs=bench.process.outputs).clear()
    return count


async def test_a_function_says_what_its_jar_is(bench: Workbench) -> None:
    content = spark_jar(arity=2)
    udf = await bench.udf(
        "twice", jar=content, class_name="com.example.Twice", return_type="int", parameter_types=["int", "string"]
    )
    assert (udf.kind, udf.jar_size_bytes) == (UdfKind.SPARK, len(content))
    assert udf.jar_sha256 == hashlib.sha256(content).hexdigest()
    assert [file.read_bytes() for file in stored_files(bench)] == [content]


async def test_the_same_jar_is_stored_once_for_all_who_have_it(bench: Workbench) -> None:
    await bench.udf("a")
    await bench.udf("b")
    bench.viewer = await bench.person()
    await bench.udf("a")
    assert len(stored_files(bench)) == len(await jar_rows(bench)) == 1


async def test_names_are_the_owners_own_and_calls_take_no_heed_of_case(bench: Workbench) -> None:
    await bench.udf("lower")
    with pytest.raises(TakenError) as caught:
        await bench.udf("lower", function_name="other")
    assert caught.value.path == ("name",)
    with pytest.raises(TakenError) as caught:
        await bench.udf("other", function_name="LOWER")
    assert caught.value.path == ("functionName",)
    upper = await bench.udf("UPPER")
    with pytest.raises(TakenError):
        await bench.services.udfs.update(bench.viewer, upper.id, UdfDraft(function_name="Lower"))
    assert (await bench.services.udfs.update(bench.viewer, upper.id, UdfDraft(function_name="upper"))).name == "UPPER"


async def test_changes_at_once_never_mix_one_jar_with_anothers_class(bench: Workbench) -> None:
    udf = await bench.udf("f")
    udfs = bench.services.udfs
    both = {path_of(f"com.example.{name}"): class_file(f"com.example.{name}", extends=HIVE_UDF) for name in "AB"}
    results = await asyncio.gather(
        udfs.update(bench.viewer, udf.id, UdfDraft(class_name="com.example.A"), BytesIO(jar(both))),
        udfs.update(bench.viewer, udf.id, UdfDraft(return_type="int")),
        return_exceptions=True,
    )
    assert {type(each) for each in results} <= {Udf, ConflictError}
    async with bench.database.read() as unit:
        (after,) = await unit.udfs.get_many([udf.id])
    if isinstance(results[0], Udf):
        assert (after.class_name, after.jar_sha256) == ("com.example.A", jar_facts(BytesIO(jar(both))).sha256)
    else:
        assert (after.class_name, after.jar_sha256) == ("com.example.Lower", udf.jar_sha256)


async def test_a_jar_larger_than_the_settings_allow_is_refused_before_it_is_looked_at(bench: Workbench) -> None:
    service = bench.services.udfs
    service._max_jar_bytes = 100
    with pytest.raises(TooLargeError, match="max_jar_size") as caught:
        await bench.udf("f", jar=bytes(101))
    assert caught.value.path == ("jar",)
    assert stored_files(bench) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("content", "values", "path"),
    [
        (spark_jar(), {"class_name": "com.example.Twice"}, "returnType"),
        (
            spark_jar(arity=2),
            {"class_name": "com.example.Twice", "return_type": "int", "parameter_types": ["int"]},
            "parameterTypes",
        ),
        (jar(BOTH), {"class_name": "com.example.A"}, "kind"),
        (hive_jar(), {"kind": UdfKind.SPARK}, "kind"),
        (hive_jar(), {"class_name": "com.example.Other"}, "className"),
        (b"no archive", {}, "jar"),
    ],
    ids=["no return type", "other arity", "unknown kind", "other kind", "no such class", "no JAR"],
)
async def test_what_cannot_be_called_is_refused_and_leaves_nothing(
    bench: Workbench, content: bytes, values: dict[str, object], path: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        await bench.udf("f", jar=content, **values)
    assert caught.value.path == (path,)
    assert stored_files(bench) == await jar_rows(bench) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_kind_that_the_jar_does_not_tell_is_the_uploaders_word_until_the_class_changes(
    bench: Workbench,
) -> None:
    udf = await bench.udf("f", jar=jar(BOTH), class_name="com.example.A", kind=UdfKind.HIVE)
    assert udf.kind is UdfKind.HIVE
    udfs = bench.services.udfs
    assert (await udfs.update(bench.viewer, udf.id, UdfDraft(return_type="int"))).kind is UdfKind.HIVE
    with pytest.raises(InvalidError) as caught:
        await udfs.update(bench.viewer, udf.id, UdfDraft(class_name="com.example.B"))
    assert caught.value.path == ("kind",)
    changed = UdfDraft(class_name="com.example.B", kind=UdfKind.SPARK)
    assert (await udfs.update(bench.viewer, udf.id, changed)).kind is UdfKind.SPARK


async def test_a_run_has_the_functions_of_its_start_and_the_engine_gets_them(bench: Workbench) -> None:
    udf = await bench.udf("lower", parameter_types=["string"], return_type="string")
    playground, _ = await with_task(bench, udf)
    (found,) = await worked(bench, await bench.launch(playground))
    assert (found.function_name, found.class_name, found.kind) == ("lower", "com.example.Lower", UdfKind.HIVE)
    assert (found.parameter_types, found.return_type, found.uri) == (("string",), "string", None)
    assert found.jar.read_bytes() == hive_jar()
    assert found.sha256 == udf.jar_sha256


async def test_what_is_changed_after_the_start_changes_the_next_run_alone(bench: Workbench) -> None:
    udf = await bench.udf("lower")
    playground, task = await with_task(bench, udf)
    run = await bench.launch(playground)
    changed = jar({path_of("com.example.Lower"): class_file("com.example.Lower", extends="a.B"), "more": b""})
    draft = UdfDraft(function_name="renamed", kind=UdfKind.HIVE)
    await bench.services.udfs.update(bench.viewer, udf.id, draft, BytesIO(changed))
    await cleared(bench)
    (found,) = await worked(bench, run)
    assert (found.function_name, found.jar.read_bytes()) == ("lower", hive_jar())
    (found,) = await worked(bench, await bench.launch(playground))
    assert (found.function_name, found.jar.read_bytes()) == ("renamed", changed)
    await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(), udf_ids=[])
    assert await worked(bench, await bench.launch(playground)) == ()


async def test_a_function_that_tasks_have_is_not_deleted_and_the_tasks_are_named(bench: Workbench) -> None:
    udf = await bench.udf("lower")
    playground, task = await with_task(bench, udf)
    with pytest.raises(ConflictError, match="task «t» of «work»") as caught:
        await bench.services.udfs.delete(bench.viewer, udf.id)
    assert caught.value.path == ("udfId",)
    run = await bench.launch(playground)
    await bench.services.tasks.delete(bench.viewer, task.id)
    await bench.services.udfs.delete(bench.viewer, udf.id)
    assert await cleared(bench) == 0  # the run has it
    (found,) = await worked(bench, run)
    assert found.jar.read_bytes() == hive_jar()


async def test_a_jar_goes_with_the_last_that_names_it_and_comes_back_elsewhere(bench: Workbench) -> None:
    first, second = await bench.udf("a"), await bench.udf("b")
    playground, _ = await with_task(bench, first)
    run = await bench.launch(playground)
    await worked(bench, run)
    (before,) = stored_files(bench)
    await bench.services.udfs.delete(bench.viewer, second.id)
    await bench.services.playgrounds.delete(bench.viewer, playground.id)
    assert await cleared(bench) == 0
    await bench.services.udfs.delete(bench.viewer, first.id)
    assert await cleared(bench, after=KEPT / 2) == 0  # somebody may be uploading it again
    assert await cleared(bench) == 1
    assert stored_files(bench) == await jar_rows(bench) == []
    await bench.udf("again")
    (after,) = stored_files(bench)
    assert after.name == before.name
    assert after.parent != before.parent  # so a deletion that comes late meets nothing


class CutFile(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise InterruptedError(size)


async def test_an_upload_that_was_killed_leaves_nothing_for_long(bench: Workbench) -> None:
    jars = Jars(database=bench.database, outputs=bench.process.outputs)
    with pytest.raises(InterruptedError):
        await jars.store(CutFile(), jar_facts(BytesIO(hive_jar())))
    assert len(await jar_rows(bench)) == 1
    assert await cleared(bench) == 1
    assert stored_files(bench) == []
    await bench.udf("f")
    assert await cleared(bench) == 0
    assert len(stored_files(bench)) == 1


async def test_a_clearing_that_an_upload_overtakes_leaves_the_jar(bench: Workbench) -> None:
    udf = await bench.udf("f")
    await bench.services.udfs.delete(bench.viewer, udf.id)
    async with bench.database.read() as unit:
        (seen,) = await unit.udfs.unused_jars(before=utc_now() + LATER, limit=1)
    jars = Jars(database=bench.database, outputs=bench.process.outputs)
    await jars.store(BytesIO(hive_jar()), jar_facts(BytesIO(hive_jar())))  # of which nothing is made yet
    assert await bench.database.write(lambda unit: unit.udfs.delete_jar(seen)) is False
    await bench.udf("f")
    assert len(await jar_rows(bench)) == 1


async def test_uploads_of_one_jar_at_once_share_it(bench: Workbench) -> None:
    udfs = await asyncio.gather(*(bench.udf(f"f{number}") for number in range(6)))
    assert len({udf.jar_sha256 for udf in udfs}) == len(await jar_rows(bench)) == len(stored_files(bench)) == 1


async def test_uploads_by_one_name_at_once_leave_one(bench: Workbench) -> None:
    results = await asyncio.gather(*(bench.udf("f") for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in results].count(Udf) == 1
    assert [type(each) for each in results].count(TakenError) == 5


async def test_a_function_is_never_taken_up_and_deleted_at_once(bench: Workbench) -> None:
    _, task = await with_task(bench)
    for number in range(8):
        udf = await bench.udf(f"f{number}")
        attach = bench.services.tasks.update(bench.viewer, task.id, TaskDraft(), udf_ids=[udf.id])
        delete = bench.services.udfs.delete(bench.viewer, udf.id)
        attached, deleted = await asyncio.gather(attach, delete, return_exceptions=True)
        has = bool(await bench.services.udfs.of_tasks([task.id]))
        assert (type(attached), type(deleted), has) in {
            (Task, ConflictError, True),
            (NotFoundError, type(None), False),
        }
        await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(), udf_ids=[])


@pytest.mark.parametrize("type_", [TaskType.PRESTO, TaskType.MYSQL])
async def test_tasks_that_could_not_call_them_take_no_functions(bench: Workbench, type_: TaskType) -> None:
    udf = await bench.udf("lower")
    with pytest.raises(InvalidError, match="takes no UDFs") as caught:
        await with_task(bench, udf, type_=type_)
    assert caught.value.path == ("udfIds", "0")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_task_does_not_come_to_have_functions_that_it_could_not_call(bench: Workbench) -> None:
    hive = await bench.udf("lower")
    spark = await bench.udf("twice", jar=spark_jar(), class_name="com.example.Twice", return_type="int")
    _, task = await with_task(bench, hive, spark, type_=TaskType.SPARK_SQL)
    for type_ in (TaskType.HIVE, TaskType.PRESTO):
        with pytest.raises(InvalidError) as caught:
            await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(type=type_))
        assert caught.value.path == ("type",)
    await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(type=TaskType.HIVE), udf_ids=[hive.id])
    with pytest.raises(ConflictError, match="«t»") as conflict:
        await bench.services.udfs.update(
            bench.viewer,
            hive.id,
            UdfDraft(class_name="com.example.Twice", return_type="int"),
            BytesIO(spark_jar()),
        )
    assert conflict.value.path == ("className",)


async def test_resuming_runs_a_task_again_whose_functions_are_others(bench: Workbench) -> None:
    udf = await bench.udf("lower")
    playground, task = await with_task(bench, udf)
    await bench.task(playground, "broken", task)
    bench.cluster.plan("broken", failures=[TerminalEngineError("no") for _ in range(9)])
    async with bench.worker():
        run = await bench.run(playground)
        carried = []
        for change in ({}, {"name": "other"}, {"function_name": "renamed"}):
            if change:
                await bench.services.udfs.update(bench.viewer, udf.id, UdfDraft(**change))
            run = await bench.end_of(await bench.services.resuming.resume(bench.viewer, run.id))
            assert run.status is RunStatus.PARTIAL_SUCCESS
            carried.append((await bench.task_runs(run))["t"].carried_over)
    assert carried == [True, True, False]


# ---- a store that is no folder of this machine


class FarStore(LocalOutputStore):
    def local_path(self, location: str) -> Path | None:  # noqa: ARG002 - as a store far away
        return None

    def uri(self, location: str) -> str | None:
        return f"s3://bucket/{location}"


def task_run_of(udf: Udf, location: str) -> TaskRun:
    document = {
        "function_name": udf.function_name, "class_name": udf.class_name, "kind": "HIVE", "return_type": None,
        "jar_sha256": udf.jar_sha256, "location": location, "parameter_types": [],
    }  # fmt: skip
    return TaskRun(status=TaskRunStatus.RUNNING, udfs=[document])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_jars_of_a_far_store_are_fetched_once_and_checked(bench: Workbench, tmp_path: Path) -> None:
    udf = await bench.udf("lower")
    root = bench.process.settings.outputs.directory
    (stored,) = stored_files(bench)
    task_run = task_run_of(udf, str(stored.relative_to(root)))
    files = JarFiles(outputs=FarStore(root=root), folder=tmp_path / "cache")
    (found,) = await files.functions_of(task_run)
    assert found.jar.read_bytes() == hive_jar()
    assert found.uri == f"s3://bucket/{stored.relative_to(root)}"
    stored.unlink()
    assert (await files.functions_of(task_run))[0].jar == found.jar  # from the cache
    found.jar.unlink()
    with pytest.raises(NotFoundError):
        await files.functions_of(task_run)
    stored.write_bytes(b"another")
    with pytest.raises(Exception, match="is not the JAR that was uploaded"):
        await files.functions_of(task_run)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_cache_makes_room_of_what_was_not_wanted_for_long(bench: Workbench, tmp_path: Path) -> None:
    udf = await bench.udf("lower")
    root = bench.process.settings.outputs.directory
    (stored,) = stored_files(bench)
    old = tmp_path / "cache" / "old.jar"
    old.parent.mkdir()
    for name, age in (("old", UNUSED_SECONDS + 60), ("young", 60)):
        path = old.with_stem(name)
        path.write_bytes(b"")
        moment = utc_now().timestamp() - age
        os.utime(path, (moment, moment))
    files = JarFiles(outputs=FarStore(root=root), folder=tmp_path / "cache")
    await files.functions_of(task_run_of(udf, str(stored.relative_to(root))))
    assert {path.stem for path in old.parent.iterdir()} == {"young", udf.jar_sha256}
