"""A server process over MariaDB with a long history, which is made once and kept in the temporary folder."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx

from app.models import migrations
from app.services.passwords import Passwords
from tests.benchmarks import history
from tests.support.mariadb import MariaDB, prepared_data
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.redis import RedisServer

DATABASE = "history"
BULK = ("--innodb-buffer-pool-size=2G", "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite")
SERVING = ("--innodb-buffer-pool-size=1G",)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    platform: Platform
    mariadb: MariaDB


@asynccontextmanager
async def seeded() -> AsyncIterator[Seeded]:
    """The API's server alone: no worker and no scheduler stirs what is measured."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reaper = Reaper()
        stack.callback(reaper.close)
        mariadb = MariaDB(template=await history_data(reaper), reaper=reaper, in_place=True, options=SERVING)
        redis = RedisServer(reaper=reaper)
        for server in (mariadb, redis):
            server.start()
            stack.callback(server.close)
            stack.callback(server.stop)
        platform = Platform(folder=folder, database_url=mariadb.url(DATABASE), redis_url=redis.url)
        stack.callback(platform.stop)
        platform.serve()
        await until_answered(platform)
        yield Seeded(platform=platform, mariadb=mariadb)


async def history_data(reaper: Reaper) -> Path:
    """The data folder, made anew when the generator or a migration has changed."""
    cache = Path(tempfile.gettempdir()) / "data-phantom-bench"
    cache.mkdir(exist_ok=True)
    empty = prepared_data(cache)
    made = cache / f"history-{recipe(empty)}"
    if made.exists():
        return made
    for outdated in cache.glob("history-*"):
        shutil.rmtree(outdated, ignore_errors=True)
    draft = cache / f"draft-{os.getpid()}"
    reaper.remove_at_end(draft)
    shutil.copytree(empty, draft)
    server = MariaDB(template=draft, reaper=reaper, in_place=True, options=BULK)
    server.start()
    try:
        await fill(server)
    finally:
        server.stop()
        server.close()
    draft.rename(made)
    return made


def recipe(empty: Path) -> str:
    """What the data depends on: MariaDB, the migrations, and the statements that make it."""
    revisions = sorted(Path(migrations.__file__ or "").parent.glob("versions/*.py"))
    parts = [
        empty.name,
        *(path.read_text() for path in revisions),
        *history.statements(history.Size(), password_hash=""),
    ]
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


async def fill(server: MariaDB) -> None:
    server.execute(f"CREATE DATABASE {DATABASE} COLLATE utf8mb4_bin")
    folder = Path(tempfile.gettempdir())
    Platform(folder=folder, database_url=server.url(DATABASE), redis_url="redis://127.0.0.1:1").run("migrate")
    password_hash = await Passwords().hash(history.PASSWORD)
    script = ";\n".join(history.statements(history.Size(), password_hash=password_hash)) + ";\n"
    await asyncio.to_thread(server.execute, script, database=DATABASE)


async def until_answered(platform: Platform) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(600):
            try:
                answer = await client.post(f"{platform.base}/graphql", json={"query": "{ health { database } }"})
            except httpx.HTTPError:
                platform.complain_of_the_dead()
                await asyncio.sleep(0.05)
            else:
                if answer.json()["data"]["health"]["database"]:
                    return
    raise AssertionError(f"the server does not answer\n{platform.logs()}")
