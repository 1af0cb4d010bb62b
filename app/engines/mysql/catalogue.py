"""The columns of a server's tables, as its information_schema tells them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.engines.base import TerminalEngineError
from app.engines.mysql.guard import StatementGuard

_QUERY = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS"
    " WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({pairs}) ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
)


async def columns_of(
    connection: Any, tables: Collection[str], *, database: str | None, guard: StatementGuard
) -> Mapping[str, Sequence[str]]:
    """The columns by the tables' names as they were given (`table` or `database.table`); unknown ones are left out."""
    pairs = {name: pair for name in tables if (pair := _pair(name, database, guard)) is not None}
    if not pairs:
        return {}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    cursor = connection.cursor()
    await cursor.execute(
        _QUERY.format(pairs=", ".join(["(%s, %s)"] * len(pairs))), [part for pair in pairs.values() for part in pair]
    )
    for schema, table, column in await cursor.fetchall():
        found[schema, table].append(column)
    lowered = {(schema.lower(), table.lower()): columns for (schema, table), columns in found.items()}
    told = {name: found.get(pair) or lowered.get((pair[0].lower(), pair[1].lower())) for name, pair in pairs.items()}
    return {name: columns for name, columns in told.items() if columns}


def _pair(name: str, database: str | None, guard: StatementGuard) -> tuple[str, str] | None:
    """Database and table, unless there is no such thing or no task may look at it."""
    schema, separator, table = name.rpartition(".")
    schema = schema if separator else (database or "")
    if not schema or "." in schema:
        return None
    with suppress(TerminalEngineError):
        guard.check_database(schema)
        return schema, table
    return None
