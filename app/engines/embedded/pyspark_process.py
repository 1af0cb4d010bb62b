"""The child process that runs a PySpark script: started warm, told its folder, listened to, killed with its group."""

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import app

_RUNNER = "app.engines.embedded.pyspark_runner"
_READ_BYTES = 64 * 1024
_LONGEST_LINE = 16 * 1024
# The rest of the environment is the platform's own, secrets among it, and no business of a script's.
_PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
)


class RunnerProcess:
    """One runner; it takes one script and ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, home: Path, *, remote: str | None = None) -> "RunnerProcess":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _RUNNER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=home,
            env=_environment(home) | ({} if remote is None else {"SPARK_REMOTE": remote}),
            start_new_session=True,  # a group of its own, to be killed as one
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def begin(self, folder: Path) -> None:
        """Let it run the script in the folder. Its input stays open: when that closes, the runner kills itself."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{folder}\n".encode())

    async def listen(self, say: Callable[[str, str], None]) -> int:
        """Pass every line of its output on, as (stream, text), until it has ended; gives its exit code."""
        readers = [
            asyncio.create_task(_read_lines(reader, name, say))
            for reader, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr"))
            if reader is not None
        ]
        code = await self._process.wait()
        self.kill()  # what the script started and left behind would keep the pipes open
        await asyncio.gather(*readers)
        self._close_input()
        return code

    def kill(self) -> None:
        """Kill the process and all that it started."""
        with suppress(ProcessLookupError, PermissionError):  # the second where it has ended
            os.killpg(self._process.pid, signal.SIGKILL)

    async def discard(self) -> None:
        """Kill it without having used it."""
        self.kill()
        await self.listen(lambda _stream, _text: None)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


async def _read_lines(reader: asyncio.StreamReader, name: str, say: Callable[[str, str], None]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    pending = ""
    while data := await reader.read(_READ_BYTES):
        *lines, pending = (pending + decoder.decode(data)).split("\n")
        for line in lines:
            say(name, line[:_LONGEST_LINE].removesuffix("\r"))
        if len(pending) > _LONGEST_LINE:
            say(name, pending[:_LONGEST_LINE])
            pending = pending[_LONGEST_LINE:]
    if pending:
        say(name, pending)


def _environment(home: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {
        "PYTHONPATH": str(Path(app.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",  # lines shall be seen as they are printed
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",  # a crash in native code says where
        "HOME": str(home),
        "TMPDIR": str(home),
        "TZ": "UTC",
        "RUST_LOG": "error",  # the server's own chatter is not the script's
    }
