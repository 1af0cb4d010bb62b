"""What a dashboard asks is answered by indexes: no statement looks through a whole table of what has run."""

import re
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.identity import Viewer, new_id, utc_now
from app.graphql.context import RequestContext
from app.graphql.ids import from_global
from app.graphql.schema import build_schema
from app.graphql.transport.documents import Refusal
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.limits import Limits
from tests.benchmarks import history
from tests.benchmarks.dashboard import LOG, Places, places, questions
from tests.support.mariadb import MariaDB
from tests.support.workbench import Workbench

SIZE = history.Size(people=3, playgrounds=100, runs=4000, wide_tasks=60, deep_tasks=6, usual_tasks=6)
GROWING = {  # what is never deleted by itself, and how many rows of it a statement may look at
    "run": 900,  # the deep playground has 800
    "task_run": 2500,
    "task_attempt": 100,
    "task_run_edge": 100,
    "event": 500,
    "log_line": 500,
    "reconciliation_run": 500,
}
SCANS = {"ALL", "index"}


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
async def test_no_statement_of_a_dashboard_looks_through_what_has_run(bench: Workbench, mariadb: MariaDB) -> None:
    database = bench.database.url.database or ""
    mariadb.execute(";\n".join(history.statements(SIZE, password_hash="-")) + ";\n", database=database)
    asked = await statements_of_a_dashboard(bench, places(SIZE, mariadb, database=database))
    assert len(asked) > 60
    offences = []
    async with bench.database._readers.connect() as connection:
        for question, statement, parameters in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            for step in plan.mappings():
                table = re.sub(r"_\d+$", "", step["table"] or "")
                access, rows = step["type"], int((str(step["rows"] or "0")).split()[0])  # `189 (20%)` with a filter
                if table in GROWING and (access in SCANS or rows > GROWING[table]):
                    offences.append((question, table, access, step["key"], rows, statement))
    assert not offences


async def statements_of_a_dashboard(bench: Workbench, at: Places) -> list[tuple[str, str, Any]]:
    """Each with the question that it was made for, and its parameters."""
    executor = GraphQLExecutor(schema=build_schema(), limits=Limits(max_cost=10**9))
    viewer = Viewer(
        user_id=history.person_id(1), session_id=new_id(), email="", username="", admin=False, expires_at=utc_now()
    )
    made: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        made.append((statement, parameters))

    engine = bench.database._readers.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    asked = []
    for question in questions(at):
        made.clear()
        if question.document == LOG:
            async with bench.database.read() as unit:
                await unit.logs.after(from_global("TaskRun", question.variables["id"]), 0, limit=100)
        else:
            prepared = executor.prepare(question.document)
            assert not isinstance(prepared, Refusal), prepared
            context = RequestContext(services=bench.services, viewer=viewer)
            answer = await executor.execute(prepared, variables=question.variables, context=context)
            assert "errors" not in answer, answer
            assert all(value is not None for value in answer["data"].values()), question
        asked += [(question.name, statement, parameters) for statement, parameters in made]
    event.remove(engine, "before_cursor_execute", note)
    return asked
