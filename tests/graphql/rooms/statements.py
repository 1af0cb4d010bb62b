"""Counts the SQL statements that an answer takes."""

from typing import Any

from sqlalchemy import event

from tests.graphql.rooms.conftest import Caller
from tests.support.workbench import Workbench


class Statements:
    """Listens to a database; `texts` are those of the last question."""

    def __init__(self, bench: Workbench) -> None:
        self.texts: list[str] = []
        for engine in (bench.database._readers, bench.database._writers):
            event.listen(engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            self.texts.append(statement)

    async def of(self, caller: Caller, document: str, **variables: Any) -> tuple[int, Any]:
        self.texts.clear()
        value = await caller.value(document, **variables)
        return len(self.texts), value
