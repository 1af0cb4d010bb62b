"""Many scheduled playgrounds at once, each with one task, written as rows; and what statements a database is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import event, insert

from app.domain.identity import new_id, utc_now
from app.domain.schedule import CatchupPolicy
from app.domain.tasks import TaskType
from app.models import Playground, Task
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

_NUMBERS = count(1)


async def add_scheduled(
    database: Database,
    owner_id: UUID,
    how_many: int,
    *,
    fire_at: datetime,
    cron: str = "* * * * *",
    catchup: CatchupPolicy = CatchupPolicy.SKIP,
    query: str = "a",
) -> list[UUID]:
    at = utc_now()
    common = {"owner_id": owner_id, "description": "", "created_at": at, "modified_at": at}
    schedule = {"schedule_cron": cron, "schedule_catchup": catchup, "next_fire_at": fire_at}
    task = {"type": TaskType.MYSQL, "name": "a", "query": query, "max_retries": 0, "retry_delay_ms": 0}
    ids = [new_id() for _ in range(how_many)]

    async def work(unit: UnitOfWork) -> None:
        playgrounds = [{"id": id_, "name": f"scheduled {next(_NUMBERS)}", **common, **schedule} for id_ in ids]
        tasks = [{"id": new_id(), "playground_id": id_, "created_at": at, "modified_at": at, **task} for id_ in ids]
        await unit._session.execute(insert(Playground), playgrounds)
        await unit._session.execute(insert(Task), tasks)

    await database.write(work)
    return ids


@contextmanager
def statements_of(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Gathers the SQL statements, with their parameters, while the block lasts."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append((statement, parameters))

    engines = [engine.sync_engine for engine in (database._readers, database._writers)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
