"""Writes the migration from the newest revision to the models as they are, after comparing them on an empty SQLite."""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.store.migration import _config, differences, migrate


async def main(message: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/metadata.db")
        try:
            await migrate(engine)
            async with engine.connect() as connection:
                path = await connection.run_sync(write, message)
        finally:
            await engine.dispose()
    print(f"Wrote {path}. Read it over, and run the tests." if path else "The migrations are at the models already.")
    return 0


def write(connection: Connection, message: str) -> Path | None:
    if not differences(connection):
        return None
    config = _config(connection)
    number = f"{len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1:04}"
    slug = re.sub(r"\W+", "_", message.lower()).strip("_")
    config.set_main_option("file_template", f"{number}_{slug}")
    script = command.revision(config, message=message, autogenerate=True, rev_id=number)
    return Path(script.path)  # type: ignore[union-attr]  # one revision is asked for


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
