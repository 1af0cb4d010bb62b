"""Writes: run again after a deadlock or a lost connection, done once all the same, and sent after the commit."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.domain.checks.checks import CheckSeverity, DataCheck, DataCheckKind
from app.domain.errors import DomainError
from app.domain.events import Job, JobName, Outbox
from app.domain.identity import new_id
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.tasks import TaskType
from app.services.launching import Launch
from app.services.reconciliations import Comparison
from app.services.tasks import TaskDraft
from app.store.database import WRITE_TRIES, Database, DatabaseAwayError, is_retriable
from app.store.unit_of_work import UnitOfWork
from tests.support.mariadb import MariaDB
from tests.support.workbench import Workbench, send_nothing

CHECKS = [
    DataCheck(kind=DataCheckKind.NOT_NULL, column="one", arguments={}, severity=CheckSeverity.WARN),
]
MAPPING = [ColumnMapping(left="one", right="one")]


async def test_a_deadlock_is_tried_again_until_both_have_written(mariadb: MariaDB) -> None:
    name = mariadb.create_database()
    mariadb.execute(
        "CREATE TABLE n (id INT PRIMARY KEY, v INT) ENGINE=InnoDB; INSERT INTO n VALUES (1,0),(2,0)", database=name
    )
    database = Database(url=mariadb.url(name), deliver=send_nothing)
    met, tries = asyncio.Barrier(2), []

    async def add(first: int, second: int) -> None:
        async def work(unit: UnitOfWork) -> None:
            tries.append(first)
            for at, id_ in enumerate((first, second)):
                await unit._session.execute(text("UPDATE n SET v = v + 1 WHERE id = :id"), {"id": id_})
                if at == 0 and tries.count(first) == 1:
                    await met.wait()  # each holds what the other wants next

        await database.write(work)

    await asyncio.wait_for(asyncio.gather(add(1, 2), add(2, 1)), 20)
    assert len(tries) == 3
    assert mariadb.execute("SELECT v FROM n", database=name).split() == ["v", "2", "2"]
    await database.close()
    mariadb.drop_database(name)


async def test_connections_that_the_server_kills_are_replaced(mariadb: MariaDB) -> None:
    database = Database(url=mariadb.url("mysql"), deliver=send_nothing)
    tries: list[int] = []

    async def work(unit: UnitOfWork) -> int:
        number = await unit._session.scalar(text("SELECT connection_id()"))
        tries.append(number)
        if len(tries) == 1:
            await asyncio.to_thread(mariadb.execute, f"KILL {number}")
        return await unit._session.scalar(text("SELECT 1"))

    assert await database.write(work) == 1
    assert len(set(tries)) == 2
    await database.close()


async def test_a_server_that_hangs_up_while_it_is_connected_to_is_away(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(url=mariadb.url("mysql"), deliver=send_nothing)
    tries: list[int] = []

    def hang_up(*_arguments: object, **_options: object) -> None:
        tries.append(1)
        raise RuntimeError("Transport does not expose socket instance")  # what asyncmy says of it

    with monkeypatch.context() as patch:
        patch.setattr(database.engine.dialect, "connect", hang_up)
        with pytest.raises(DatabaseAwayError):
            await database.write(lambda unit: unit._session.scalar(text("SELECT 1")))
    assert len(tries) == WRITE_TRIES
    assert await database.write(lambda unit: unit._session.scalar(text("SELECT 1"))) == 1
    await database.close()


async def test_what_is_wrong_in_itself_is_not_tried_again(bench: Workbench) -> None:
    tries: list[int] = []

    async def wrong(unit: UnitOfWork) -> None:
        tries.append(1)
        await unit._session.execute(text("SELECT * FROM no_such_table"))

    async def refused(_unit: UnitOfWork) -> None:
        tries.append(1)
        raise DomainError("no")

    for work, error in ((wrong, Exception), (refused, DomainError)):
        tries.clear()
        with pytest.raises(error):
            await bench.database.write(work)
        assert len(tries) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_trying_ends(bench: Workbench) -> None:
    tries: list[int] = []

    async def work(_unit: UnitOfWork) -> None:
        tries.append(1)
        raise lost_connection()

    with pytest.raises(DatabaseAwayError):
        await bench.database.write(work)
    assert len(tries) == WRITE_TRIES


async def test_the_outbox_is_sent_after_the_commit_and_only_then(migrated_sqlite: Path) -> None:
    sent: list[Outbox] = []
    seen: list[int] = []

    async def deliver(outbox: Outbox) -> None:
        async with reader.read() as unit:
            seen.append(await unit.accounts.count_users())
        sent.append(outbox)

    url = f"sqlite+aiosqlite:///{migrated_sqlite}"
    database, reader = Database(url=url, deliver=deliver), Database(url=url, deliver=send_nothing)
    job = Job(name=JobName.EXECUTE_TASKS, id=new_id())

    async def fail(unit: UnitOfWork) -> None:
        unit.outbox.jobs.append(job)
        raise RuntimeError("on purpose")

    async def succeed(unit: UnitOfWork) -> None:
        unit.outbox.jobs.append(job)

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert not sent
    await database.write(succeed)
    assert [outbox.jobs for outbox in sent] == [[job]]
    assert seen == [0]
    await database.close()
    await reader.close()


def lost_connection() -> OperationalError:
    error = OperationalError("COMMIT", None, Exception(2013, "Lost connection to server during query"))
    assert is_retriable(error)
    return error


class LostAnswer:
    """Every transaction is committed, and every other one's answer is lost on the way back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commit = UnitOfWork.commit
        self.losses = 0
        self._turn = 0

        async def commit_and_lose(unit: UnitOfWork) -> None:
            await commit(unit)
            self._turn += 1
            if self._turn % 2:
                self.losses += 1
                raise lost_connection()

        monkeypatch.setattr(UnitOfWork, "commit", commit_and_lose)


class World:
    """What the mutations below work on, made before answers are lost."""

    def __init__(self, bench: Workbench) -> None:
        self.bench, self.viewer, self.services = bench, bench.viewer, bench.services

    async def prepare(self) -> "World":
        bench = self.bench
        self.playground, self.tasks = await bench.graph({"a": "", "b": "a"})
        self.empty = await bench.playground("empty")
        async with bench.worker():
            await bench.run(self.playground)
        self.pair = await self.services.reconciliations.create(
            self.viewer, self.playground.id, left_task_id=self.tasks["a"].id, right_task_id=self.tasks["b"].id,
            mapping=MAPPING, options=ReconciliationOptions(),
        )  # fmt: skip
        self.pair_run = await self.services.reconciliations.launch(self.viewer, self.pair.id, Comparison())
        other, _ = await bench.graph({"x": ""})
        self.run = await bench.launch(other)
        self.session = await self.services.accounts.open_session(self.viewer.user_id)
        return self


MUTATIONS: dict[str, Callable[[World], Awaitable[object]]] = {
    "register": lambda w: w.services.accounts.register(email="n@example.com", username="new", password="correct horse"),
    "open a session": lambda w: w.services.accounts.open_session(w.viewer.user_id),
    "refresh": lambda w: w.services.accounts.refresh(w.session.refresh_token),
    "logout": lambda w: w.services.accounts.logout(w.viewer, w.session.refresh_token),
    "create a playground": lambda w: w.services.playgrounds.create(w.viewer, name="new"),
    "update a playground": lambda w: w.services.playgrounds.update(w.viewer, w.playground.id, name="other"),
    "delete a playground": lambda w: w.services.playgrounds.delete(w.viewer, w.empty.id),
    "create a task": lambda w: w.services.tasks.create(
        w.viewer, w.playground.id, TaskDraft(name="c", type=TaskType.HIVE, query="q"), parent_ids=[w.tasks["a"].id]
    ),
    "update a task": lambda w: w.services.tasks.update(
        w.viewer, w.tasks["b"].id, TaskDraft(name="other"), parent_ids=[]
    ),
    "set parents": lambda w: w.services.tasks.set_parents(w.viewer, w.tasks["b"].id, []),
    "set checks": lambda w: w.services.tasks.set_checks(w.viewer, w.tasks["b"].id, CHECKS),
    "delete a task": lambda w: w.services.tasks.delete(w.viewer, w.tasks["b"].id),
    "launch": lambda w: w.services.runs.launch(w.viewer, w.playground.id, Launch()),
    "launch with a key": lambda w: w.services.runs.launch(w.viewer, w.playground.id, Launch(idempotency_key="k")),
    "cancel a run": lambda w: w.services.runs.cancel(w.viewer, w.run.id),
    "create a reconciliation": lambda w: w.services.reconciliations.create(
        w.viewer, w.playground.id, left_task_id=w.tasks["a"].id, right_task_id=w.tasks["b"].id,
        mapping=MAPPING, options=ReconciliationOptions(),
    ),
    "update a reconciliation": lambda w: w.services.reconciliations.update(w.viewer, w.pair.id, mapping=MAPPING),
    "delete a reconciliation": lambda w: w.services.reconciliations.delete(w.viewer, w.pair.id),
    "run a reconciliation": lambda w: w.services.reconciliations.launch(w.viewer, w.pair.id, Comparison()),
    "cancel a reconciliation": lambda w: w.services.reconciliations.cancel(w.viewer, w.pair_run.id),
}  # fmt: skip
TABLES = (
    "user",
    "session",
    "playground",
    "task",
    "task_edge",
    "run",
    "task_run",
    "reconciliation",
    "reconciliation_run",
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_mutation_whose_commit_lost_its_answer_is_done_once(
    bench: Workbench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World(bench).prepare()
    before = await _counts(bench)
    with monkeypatch.context() as patch:
        answers = LostAnswer(patch)
        await MUTATIONS[name](world)
        assert answers.losses >= 1
    after = await _counts(bench)
    again, difference = (
        set(),
        {table: after[table] - before[table] for table in TABLES if after[table] != before[table]},
    )
    assert not again
    assert all(abs(change) <= 2 for change in difference.values()), difference
    if name in {"create a task", "create a playground", "create a reconciliation", "launch", "launch with a key"}:
        assert 1 in difference.values()


async def test_log_lines_whose_commit_lost_its_answer_are_kept_once(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, _ = await bench.graph({"a": ""})
    task_run = (await bench.task_runs(await bench.launch(playground)))["a"]
    lines = [
        {
            "task_run_id": task_run.id, "sequence": number, "attempt": 1, "at": playground.created_at,
            "stream": "engine", "text": f"line {number}",
        }
        for number in range(3)
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        answers = LostAnswer(patch)
        await bench.database.write(lambda unit: unit.logs.append(lines))
        assert answers.losses >= 1
    assert await bench.log_of(task_run) == ["line 1", "line 2"]  # what comes after 0
    assert await bench.scalar("SELECT count(*) FROM log_line") == len(lines)


async def test_a_refresh_whose_answer_was_lost_leaves_the_session_open(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await bench.services.accounts.open_session(bench.viewer.user_id)
    with monkeypatch.context() as patch:
        LostAnswer(patch)
        fresh = await bench.services.accounts.refresh(session.refresh_token)
    viewer = await bench.services.accounts.authenticate(fresh.access_token)
    assert viewer.user_id == bench.viewer.user_id
    assert (await bench.services.accounts.refresh(fresh.refresh_token)).user.id == bench.viewer.user_id


@pytest.mark.parametrize("statement", ["INSERT INTO session (id) VALUES (:id)"])
async def test_an_insert_that_lacks_columns_is_refused_by_both_databases(bench: Workbench, statement: str) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(text(statement), {"id": UUID(int=0).hex})

    with pytest.raises((IntegrityError, OperationalError)):
        await bench.database.write(work)


async def _counts(bench: Workbench) -> dict[str, int]:
    return {table: await bench.scalar(f"SELECT count(*) FROM {_quoted(table)}") for table in TABLES}


def _quoted(table: str) -> str:
    return f"`{table}`"


async def test_a_process_frozen_in_mid_transaction_does_not_keep_its_locks(mariadb: MariaDB) -> None:
    name = mariadb.create_database()
    mariadb.execute("CREATE TABLE held (id INT PRIMARY KEY, value INT) ENGINE=InnoDB", database=name)
    mariadb.execute("INSERT INTO held VALUES (1, 0)", database=name)
    frozen, other = (Database(url=mariadb.url(name), deliver=send_nothing) for _ in range(2))
    locked, thawed = asyncio.Event(), asyncio.Event()

    async def freeze(unit: UnitOfWork) -> None:
        await unit._session.execute(text("UPDATE held SET value = value + 1"))
        locked.set()
        await thawed.wait()

    async def take_over(unit: UnitOfWork) -> None:
        await unit._session.execute(text("UPDATE held SET value = value + 10"))

    freezing = asyncio.create_task(frozen.write(freeze))
    await locked.wait()
    async with asyncio.timeout(15):  # MariaDB's own lock wait would be 20 s, and nobody would have let go
        await other.write(take_over)
    thawed.set()
    await freezing  # its connection is gone: it writes again, from the start
    async with other.read() as unit:
        assert (await unit._session.execute(text("SELECT value FROM held"))).scalar() == 11
    await frozen.close()
    await other.close()
