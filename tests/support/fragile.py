"""A deployment in small whose every part may be killed and every line cut; a supervisor brings parts back."""

import asyncio
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from types import MappingProxyType

from tests.support.mariadb import MariaDB
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer

REST = 0.1  # seconds between two looks of the supervisor
START_PATIENCE = 60.0
Process = Popen[bytes]


@dataclass(kw_only=True)
class Fragile:
    """A server, workers and schedulers; they reach MariaDB, Redis and the source of their queries by proxies."""

    platform: Platform
    metadata: MariaDB
    source: MariaDB
    redis: RedisServer
    metadata_line: Proxy
    source_line: Proxy
    redis_line: Proxy
    database: str
    source_database: str
    parts: dict[str, list[Process]] = field(default_factory=dict)  # by the verb that starts them
    restarts: int = 0

    @property
    def base(self) -> str:
        return self.platform.base

    @property
    def url(self) -> str:
        """The metadata's, past the proxy."""
        return self.metadata.url(self.database)

    @property
    def outputs(self) -> Path:
        return self.platform.folder / "outputs"

    @property
    def lines(self) -> tuple[Proxy, ...]:
        return self.metadata_line, self.source_line, self.redis_line

    @property
    def workers(self) -> list[Process]:
        return self.parts["worker"]

    @property
    def server(self) -> Process:
        return self.parts["serve"][0]

    def start(self, verb: str, **environment: str) -> Process:
        process = self.platform.serve() if verb == "serve" else self.platform.start(verb, **environment)
        self.parts.setdefault(verb, []).append(process)
        return process

    def kill(self, process: Process) -> None:
        """By SIGKILL, frozen or not; the supervisor starts another."""
        process.kill()
        process.wait()

    def revive(self) -> None:
        """Start again what has ended, as an operator's service manager would."""
        for verb, processes in self.parts.items():
            for process in tuple(processes):
                if process.poll() is not None:
                    processes.remove(process)
                    self.start(verb)
                    self.restarts += 1

    async def supervise(self) -> None:
        while True:
            self.revive()
            await asyncio.sleep(REST)

    async def until_well(self, *, seconds: float = START_PATIENCE) -> None:
        """Wait until the platform is healthy and knows its present parts, and no others."""
        async with asyncio.timeout(seconds):
            while True:
                self.revive()
                expected = sorted(str(part.pid) for verb in ("worker", "scheduler") for part in self.parts[verb])
                if sorted(pid for (pid,) in self.facts("SELECT pid FROM worker")) == expected:
                    break
                await asyncio.sleep(REST)
            await self.platform.until_healthy(workers=len(self.workers), seconds=seconds)

    async def until_somebody_works(self, *, seconds: float = START_PATIENCE) -> None:
        """Wait for the first heartbeat of one of the workers that run now."""
        async with asyncio.timeout(seconds):
            while not self._pids_in("SELECT pid FROM worker") & {str(worker.pid) for worker in self.workers}:  # noqa: ASYNC110 - a row
                await asyncio.sleep(REST)

    def _pids_in(self, query: str) -> set[str]:
        with suppress(AssertionError):  # the database is down
            return {pid for (pid,) in self.facts(query)}
        return set()

    def facts(self, query: str) -> list[tuple[str, ...]]:
        """Rows of the metadata, past the proxy."""
        lines = self.metadata.execute(query, database=self.database).splitlines()[1:]
        return [tuple(line.split("\t")) for line in lines]

    def holder(self, task: str) -> Process:
        """The worker that runs the task now."""
        query = f"SELECT w.pid FROM task_run t JOIN worker w ON w.id = t.worker_id WHERE t.name = '{task}'"
        ((pid,),) = self.facts(query)
        return next(worker for worker in self.workers if worker.pid == int(pid))

    def tracebacks(self) -> list[str]:
        """What each traceback that a part has written came after, and its last line."""
        found = []
        for path in sorted(self.platform.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            starts = [number for number, line in enumerate(lines) if "Traceback (most recent call last)" in line]
            for start in starts:
                end = next((line for line in lines[start + 1 :] if re.match(r"\S*(Error|Exception)\b", line)), "?")
                found.append(f"{path.name}: {lines[start - 1] if start else ''} … {end}")
        return found

    async def stop(self) -> list[str]:
        """End all parts in order; what did not go as it should, in words."""
        faults = []
        for verb in ("serve", "scheduler", "worker"):
            for process in self.parts.get(verb, ()):
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.terminate()
                    code = await asyncio.to_thread(process.wait, 40)
                    if code != 0:
                        faults.append(f"a {verb} that was stopped ended with {code}")
        return faults


@asynccontextmanager
async def open_fragile(
    *,
    template: Path,
    reaper: Reaper,
    workers: int = 2,
    schedulers: int = 1,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Fragile]:
    """Leases of two seconds, and as long a grace for a worker that is stopped; other settings by environment."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dp-fragile-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        metadata, source = (MariaDB(template=template, reaper=reaper) for _ in range(2))
        redis = RedisServer(reaper=reaper)
        lines = []
        for server in (metadata, source, redis):
            server.start()
            stack.callback(server.close)
            lines.append(stack.enter_context(Proxy(upstream_port=server.port)))
        metadata_line, source_line, redis_line = lines
        database, source_database = metadata.create_database(), source.create_database()
        platform = Platform(
            folder=folder,
            database_url=_by(metadata_line, metadata.url(database), metadata.port),
            redis_url=_by(redis_line, redis.url, redis.port),
            reaper=reaper,
            DATA_PHANTOM__CONNECTOR__MYSQL__URL=_by(source_line, source.url(source_database), source.port),
            DATA_PHANTOM__GRAPHQL__MAX_SOCKETS_PER_USER="1000",
            DATA_PHANTOM__JWT__TOKENEXPIRATIONMINUTES="10000",
            **{
                "DATA_PHANTOM__WORKER__HEARTBEAT_INTERVAL": "200ms",
                "DATA_PHANTOM__WORKER__LEASE": "2s",
                "DATA_PHANTOM__WORKER__SHUTDOWN_GRACE": "2s",
                **settings,
            },
        )
        stack.callback(platform.stop)
        platform.run("migrate")
        fragile = Fragile(
            platform=platform,
            metadata=metadata,
            source=source,
            redis=redis,
            metadata_line=metadata_line,
            source_line=source_line,
            redis_line=redis_line,
            database=database,
            source_database=source_database,
        )
        for verb, count in (("serve", 1), ("scheduler", schedulers), ("worker", workers)):
            for _ in range(count):
                fragile.start(verb)
        await fragile.until_well()
        yield fragile


def _by(line: Proxy, url: str, port: int) -> str:
    """The URL of a server by way of the proxy before it."""
    return url.replace(f":{port}/", f":{line.port}/")
