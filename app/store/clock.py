"""The database's own clock: what is compared between hosts is told by one clock, for theirs may differ by hours."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from app.models.base import UtcDateTime


class database_now(FunctionElement[datetime]):  # noqa: N801 - it is written as a function of SQL
    """Now, in UTC, at the beginning of the statement."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _in_mariadb(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(database_now, "sqlite")
def _in_sqlite(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
