"""One process's context over a migrated database, with a planned engine: people, playgrounds, workers by hand."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from redis import Redis
from sqlalchemy import text

from app.context import ProcessContext, open_process
from app.domain.dispatch import Limits
from app.domain.events import Outbox
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.status import TaskRunStatus
from app.domain.tasks import TaskType
from app.engines.registry import EngineRegistry
from app.models import Base, Event, Playground, Role, Run, Task, TaskAttempt, TaskRun, Udf
from app.services.attempt import AttemptRunner
from app.services.checks import OutputChecks
from app.services.execution import ExecutionService
from app.services.held_work import HeldWork
from app.services.launching import Launch
from app.services.leases import Lease
from app.services.recovery import RecoveryService, Swept
from app.services.slots import Slots
from app.services.tasks import TaskDraft
from app.services.udfs import UdfDraft
from app.settings import Settings
from app.store.database import Database
from app.store.migration import migrate
from app.store.unit_of_work import UnitOfWork
from tests.support.engine import Cluster, FakeEngine
from tests.support.jars import hive_jar
from workers.main import WorkerProcess

PATIENCE = 20.0  # seconds that anything may take before a test gives up
REDIS_DATABASE = 7  # apart from whatever else uses the server
SECRET = "a secret of the tests: long, odd, 0123456789 !"
LEASE = timedelta(milliseconds=600)
_NAMES = count(1)


def settings_for(folder: Path, *, database_url: str, redis_url: str, **extra: str) -> Settings:
    environment = {
        "DATA_PHANTOM__META_STORE__URL": database_url,
        "DATA_PHANTOM__REDIS__URL": redis_url,
        "DATA_PHANTOM__OUTPUTS__DIRECTORY": str(folder / "outputs"),
        "DATA_PHANTOM__UDFS__CACHE_DIRECTORY": str(folder / "jars"),
        "DATA_PHANTOM__JWT__SECRETKEY": SECRET,
        "DATA_PHANTOM__WORKER__HEARTBEAT_INTERVAL": "100ms",
        "DATA_PHANTOM__WORKER__LEASE": f"{LEASE.total_seconds() * 1000:.0f}ms",
        "DATA_PHANTOM__WORKER__SHUTDOWN_GRACE": "0s",
        **extra,
    }
    return Settings.load(None, environment)


async def send_nothing(_outbox: Outbox) -> None:
    """Deliver nowhere, as a process that died right after its commit."""


async def migrated(url: str) -> None:
    database = Database(url=url, deliver=send_nothing)
    try:
        await migrate(database.engine)
    finally:
        await database.close()


async def emptied(url: str) -> None:
    """Delete every row, the children's before the parents'."""
    database = Database(url=url, deliver=send_nothing)
    try:
        async with database.engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name != "dispatch_lock":  # its one row is the migration's
                    await connection.execute(table.delete())
    finally:
        await database.close()


def copied(template: Path, folder: Path) -> str:
    """The URL of a SQLite database copied from a migrated one."""
    shutil.copyfile(template, folder / "metadata.db")
    return f"sqlite+aiosqlite:///{folder / 'metadata.db'}"


def redis_url_of(url: str) -> str:
    return f"{url.rpartition('/')[0]}/{REDIS_DATABASE}"


def flush(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.flushdb()


@dataclass(kw_only=True)
class Hand:
    """A worker whose every step a test makes itself; it beats when it is told to."""

    bench: "Workbench"
    process: ProcessContext
    id: UUID = field(default_factory=new_id)
    held: HeldWork = field(default_factory=HeldWork)

    def __post_init__(self) -> None:
        self.attempts = AttemptRunner(
            database=self.process.database,
            engines=EngineRegistry(engines=[FakeEngine(self.bench.cluster)]),
            outputs=self.process.outputs,
            jar_files=self.process.jar_files,
            checks=OutputChecks(
                database=self.process.database,
                outputs=self.process.outputs,
                spill_dir=self.process.settings.outputs.directory / "spill",
            ),
        )
        self.execution = ExecutionService(
            database=self.process.database,
            attempts=self.attempts,
            held=self.held,
            worker_id=self.id,
            slots=Slots(pools=self.process.settings.concurrency_config.pools, lanes={}, limits=Limits()),
            limits=Limits(),
        )
        self.lease = Lease(
            database=self.process.database,
            bell=self.process.bell,
            held=self.held,
            worker_id=self.id,
            interval=timedelta(milliseconds=50),
        )

    async def start(self, run: Run) -> None:
        """Carry the run's first task, and what follows from it."""
        rows = (await self.bench.services.runs.task_runs_of([run.id]))[run.id]
        roots = [row for row in rows if row.status is TaskRunStatus.QUEUED]
        if roots:
            await self.execute(roots[0].id)

    async def execute(self, task_run_id: UUID) -> None:
        """What the task run's job does."""
        row = (await self.bench.services.runs.task_runs([task_run_id]))[task_run_id]
        await self.execution.execute_tasks(row.playground_id, [task_run_id])

    async def die(self) -> None:
        """What the sweeper does to a worker that has not beaten for too long."""

        async def work(unit: UnitOfWork) -> None:
            await unit.workers.remove(self.id)

        await self.process.database.write(work)


class Workbench:
    """A test's own world: one account, and what it needs to make runs happen."""

    def __init__(self, process: ProcessContext, cluster: Cluster, viewer: Viewer) -> None:
        self.process = process
        self.cluster = cluster
        self.viewer = viewer
        self.services = process.services
        self.database = process.database
        self._stack = AsyncExitStack()
        self._sweeper = self.new_sweeper()

    # ---- people, playgrounds, tasks

    async def person(self, name: str | None = None) -> Viewer:
        name = name or f"person-{next(_NAMES)}"
        return await add_person(self.database, name)

    async def playground(self, name: str = "work", *, viewer: Viewer | None = None) -> Playground:
        return await self.services.playgrounds.create(viewer or self.viewer, name=name)

    async def task(
        self, playground: Playground, name: str, *parents: Task, query: str | None = None, **values: Any
    ) -> Task:
        draft = TaskDraft(name=name, type=TaskType.MYSQL, query=query or name, **{"retry_delay_ms": 0, **values})
        return await self.services.tasks.create(
            self.viewer, playground.id, draft, parent_ids=[parent.id for parent in parents]
        )

    async def graph(self, edges: Mapping[str, str], **values: Any) -> tuple[Playground, dict[str, Task]]:
        """A playground with a task for each key; the value names its parents, apart by spaces."""
        playground_id, at = new_id(), utc_now()
        owner = {"owner_id": self.viewer.user_id, "description": "", "created_at": at, "modified_at": at}
        ids = {name: new_id() for name in edges}
        task = {
            "type": TaskType.MYSQL, "connection": None, "max_retries": 0, "retry_delay_ms": 0, "timeout_ms": None,
            "created_at": at, "modified_at": at, **values,
        }  # fmt: skip

        async def work(unit: UnitOfWork) -> tuple[Playground, dict[str, Task]]:
            """In one transaction: a test makes many, and the services' own way is tested through the API."""
            await unit.playgrounds.add(id=playground_id, name=f"graph-{next(_NAMES)}", **owner)
            for name, id_ in ids.items():
                await unit.tasks.add(id=id_, playground_id=playground_id, name=name, query=name, **task)
            rows = {row.name: row for row in await unit.tasks.of_playgrounds([playground_id])}
            for name, parents in edges.items():
                if parents:
                    await unit.tasks.set_parents(rows[name], [ids[parent] for parent in parents.split()])
            playground = await unit.playgrounds.get(playground_id)
            assert playground is not None
            return playground, rows

        return await self.database.write(work)

    async def udf(self, name: str, *, jar: bytes | None = None, **values: Any) -> Udf:
        """A Hive function, unless the JAR is another; what calls it is its name."""
        draft = {"name": name, "function_name": name, "class_name": "com.example.Lower", **values}
        return await self.services.udfs.upload(self.viewer, UdfDraft(**draft), BytesIO(jar or hive_jar()))

    # ---- runs

    async def launch(self, playground: Playground, **values: Any) -> Run:
        return await self.services.runs.launch(self.viewer, playground.id, Launch(**values))

    async def run(self, playground: Playground, **values: Any) -> Run:
        """Launch, and wait for the end."""
        return await self.end_of(await self.launch(playground, **values))

    async def end_of(self, run: Run) -> Run:
        await self.events_to_end(run)
        return await self.row(run)

    async def events_to_end(self, run: Run) -> list[Event]:
        """All that the feed tells of a run, up to its end."""
        found: list[Event] = []
        async with asyncio.timeout(PATIENCE):
            async with aclosing(self.services.run_feeds.run(self.viewer, run.id, after=None)) as batches:
                async for batch in batches:
                    found += batch.rows
        return found

    async def row(self, run: Run) -> Run:
        row = await self.services.runs.get(self.viewer, run.id)
        assert row is not None
        return row

    async def task_runs(self, run: Run) -> dict[str, TaskRun]:
        rows = (await self.services.runs.task_runs_of([run.id]))[run.id]
        return {row.name: row for row in rows}

    async def statuses(self, run: Run) -> dict[str, TaskRunStatus]:
        return {name: row.status for name, row in (await self.task_runs(run)).items()}

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again until it holds."""
        async with asyncio.timeout(PATIENCE):
            while not await condition():  # noqa: ASYNC110 - no event tells of a row
                await asyncio.sleep(0.005)

    async def until_status(self, run: Run, name: str, status: TaskRunStatus) -> None:
        async def reached() -> bool:
            return (await self.statuses(run))[name] is status

        await self.until(reached)

    async def attempts(self, task_run: TaskRun) -> Sequence[Any]:
        columns = TaskAttempt.__table__.c
        return await self.rows(
            TaskAttempt.__table__.select().where(columns.task_run_id == task_run.id).order_by(columns.attempt)
        )

    async def log_of(self, task_run: TaskRun) -> list[str]:
        async with self.database.read() as unit:
            return [line.text for line in await unit.logs.after(task_run.id, 0, limit=1000)]

    # ---- workers

    async def hand(self, process: ProcessContext | None = None) -> Hand:
        hand = Hand(bench=self, process=process or self.process)
        await hand.lease.register()
        return hand

    @asynccontextmanager
    async def worker(
        self,
        process: ProcessContext | None = None,
        *,
        capacity: int | None = None,
        reconciliations: Mapping[str, Any] | None = None,
        **concurrency: Any,
    ) -> AsyncIterator[WorkerProcess]:
        """A whole worker, with its queues and its lease; what is given is laid over the settings' sections."""
        process = process or self.process
        engine = FakeEngine(self.cluster)
        engine.capacity = capacity
        section = process.settings.concurrency_config.model_copy(update=concurrency)
        comparing = process.settings.reconciliation_settings.model_copy(update=reconciliations or {})
        settings = process.settings.model_copy(
            update={"concurrency_config": section, "reconciliation_settings": comparing}
        )
        worker = WorkerProcess(replace(process, engines=EngineRegistry(engines=[engine]), settings=settings))
        async with worker.running():
            yield worker

    async def sweep(self) -> Swept:
        return await self._sweeper.sweep()

    def new_sweeper(self) -> RecoveryService:
        """Another scheduler's."""
        return RecoveryService(database=self.database, oldest_job=self.process.queue.oldest, lease=LEASE)

    async def age(self, table: str, column: str, by: timedelta, ids: Iterable[UUID]) -> None:
        """Make rows older, as if time had passed."""

        async def work(unit: UnitOfWork) -> None:
            rows = Base.metadata.tables[table]
            for id_ in ids:
                await unit._session.execute(rows.update().where(rows.c.id == id_).values({column: utc_now() - by}))

        await self.database.write(work)

    async def rows(self, query: Any) -> Sequence[Any]:
        async with self.database.read() as unit:
            return (await unit._session.execute(query)).all()

    async def scalar(self, sql: str) -> Any:
        async with self.database.read() as unit:
            return await unit._session.scalar(text(sql))

    async def another_process(self) -> ProcessContext:
        """A second process's context over the same servers, open until the bench is put away."""
        return await self._stack.enter_async_context(open_process(self.process.settings))

    async def put_away(self) -> None:
        await self._stack.aclose()


async def add_person(database: Database, name: str) -> Viewer:
    user_id, at = new_id(), utc_now()

    async def work(unit: UnitOfWork) -> None:
        await unit.accounts.add_user(
            id=user_id,
            email=f"{name}@example.com",
            username=name,
            password_hash="-",
            role=Role.USER,
            created_at=at,
        )

    await database.write(work)
    return Viewer(
        user_id=user_id,
        session_id=new_id(),
        email=f"{name}@example.com",
        username=name,
        admin=False,
        expires_at=at + timedelta(hours=1),
    )


@asynccontextmanager
async def open_workbench(settings: Settings) -> AsyncIterator[Workbench]:
    cluster = Cluster()
    async with open_process(settings) as process:
        viewer = await add_person(process.database, f"owner-{next(_NAMES)}")
        bench = Workbench(process, cluster, viewer)
        try:
            yield bench
        finally:
            await bench.put_away()
