"""A driven MySQL engine on the tests' own MariaDB."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.domain.tasks import TaskType
from app.engines.mysql.engine import MysqlEngine
from tests.engines.driving import Driver
from tests.support.mariadb import MariaDB


@asynccontextmanager
async def engine_for(mariadb: MariaDB, tmp_path: Path, **arguments: Any) -> AsyncIterator[Driver]:
    settings = {"host": mariadb.host, "port": mariadb.port, "user": mariadb.user, "password": mariadb.password}
    engine = MysqlEngine(**{"name": "shop", **settings, **arguments})
    try:
        yield Driver(engine, type=TaskType.MYSQL, folder=tmp_path)
    finally:
        await engine.close()
