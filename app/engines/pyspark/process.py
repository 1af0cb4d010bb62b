"""The child process that runs a PySpark script: started warm, told its folder, listened to, killed with its group."""

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import app

_RUNNER = "app.engines.pyspark.runner"
_LONGEST_LINE = 16 * 1024
_STREAMS = {1: "stdout", 2: "stderr"}
# The rest of the environment is the platform's own, secrets among it, and no business of a script's.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE")

Listener = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A session on a Spark Connect server; whoever runs in it is told the whole URL."""

    url: str = field(repr=False)
    session: str


class RunnerProcess(asyncio.SubprocessProtocol):
    """One runner; it takes one script and ends."""

    def __init__(self, remote: Remote | None) -> None:
        self.remote = remote
        self._lines = {descriptor: _Lines() for descriptor in _STREAMS}
        self._listener: Listener | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @classmethod
    async def warm(cls, home: Path, *, remote: Remote | None = None) -> "RunnerProcess":
        """Start a runner on a Spark of its own, or on the one at `remote`; it gets ready for the script to come."""
        more = {} if remote is None else {"SPARK_REMOTE": remote.url}
        command = [sys.executable, "-m", _RUNNER]
        return await cls.start(command, home=home, env=script_environment(home) | more, remote=remote)

    @classmethod
    async def start(
        cls, command: Sequence[str], *, home: Path, env: Mapping[str, str], remote: Remote | None = None
    ) -> "RunnerProcess":
        """Start a program that ends with its standard input."""
        _transport, runner = await asyncio.get_running_loop().subprocess_exec(
            partial(cls, remote),
            *command,
            cwd=home,
            env=env,
            start_new_session=True,  # a group of its own, to be killed as one
        )
        return runner

    @property
    def alive(self) -> bool:
        return self._transport is not None and self._transport.get_returncode() is None

    async def run(self, folder: Path, listener: Listener) -> int:
        """Run the script in the folder; every line is passed on as (stream, text). Gives the exit code."""
        self._listener = listener
        # The pipe stays open: when it closes, by will or because this process has died, the runner is killed.
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        if pipe is not None:
            cast("asyncio.WriteTransport", pipe).write(f"{folder}\n".encode())
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """Kill the process and all that it started."""
        if self._transport is not None:
            with suppress(ProcessLookupError, PermissionError):  # the second where the group is ending
                os.killpg(self._transport.get_pid(), signal.SIGKILL)

    async def discard(self) -> None:
        """Kill it without having used it."""
        self.kill()
        await asyncio.shield(self._ended)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        for line in self._lines[fd].take(data):
            self._say(fd, line)

    def process_exited(self) -> None:
        self.kill()  # what the script started and left behind would keep the pipes open

    def connection_lost(self, _error: Exception | None) -> None:
        for descriptor, lines in self._lines.items():
            if lines.rest:
                self._say(descriptor, lines.rest)
        code = None
        if self._transport is not None:
            code = self._transport.get_returncode()
            self._transport.close()
        if not self._ended.done():
            self._ended.set_result(code or 0)

    def _say(self, descriptor: int, line: str) -> None:
        if self._listener is not None:
            self._listener(_STREAMS[descriptor], line)


class _Lines:
    """Parts a stream of bytes into lines of bounded length."""

    def __init__(self) -> None:
        self.rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def take(self, data: bytes) -> list[str]:
        *lines, rest = (self.rest + self._decoder.decode(data)).split("\n")
        self.rest = rest[:_LONGEST_LINE]
        return [line[:_LONGEST_LINE].removesuffix("\r") for line in lines]


def script_environment(home: Path) -> dict[str, str]:
    """What a script's process is to see of this one's environment, and where it finds this package."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "PYTHONPATH": str(Path(app.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",  # lines shall be seen as they are printed
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",  # a crash in native code says where
        "HOME": str(home),
        "TMPDIR": str(home),
        "TZ": "UTC",
        "RUST_LOG": "error",  # the server's own chatter is not the script's
    }
