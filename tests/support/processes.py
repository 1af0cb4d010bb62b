"""Child processes of the tests: started on free ports, waited for, and gone however the tests end."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import reaper

_LOG_TAIL_BYTES = 4_000
PORTS = range(15_000, 32_000)  # below Linux's ip_local_port_range


class ProcessError(Exception):
    """A child process did not do what it was started for; the message ends with its last words."""


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now.

    It is none of those that the system gives to outgoing connections: one of these would soon be somebody's.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Reaper:
    """A small process that outlives this one by a moment: it kills what is left, and removes folders.

    Fixtures stop their servers themselves; this is for a test run that is killed.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, reaper.__file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )

    def adopt(self, process_group: int) -> None:
        self._tell(f"adopt {process_group}")

    def release(self, process_group: int) -> None:
        self._tell(f"release {process_group}")

    def remove_at_end(self, folder: Path) -> None:
        self._tell(f"remove {folder}")

    def close(self) -> None:
        """Let it do its work now, and wait for it."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


class ManagedProcess:
    """A process with all its children, its output in a log file; it may be started again after its end."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        reaper: Reaper,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._reaper = reaper
        self._env = env
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process, "it was not started"
        return self._process.pid

    def start(self) -> None:
        assert not self.running, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # a group of its own, so that its children are found
            )
        self._reaper.adopt(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, and not to its children."""
        os.kill(self.pid, number)

    def wait(self, *, timeout: float) -> int:
        """Its exit code; negative where a signal ended it. Raises: ProcessError after `timeout` seconds."""
        assert self._process, "it was not started"
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.command[0]} still runs after {timeout:g} s.\n{self.log_tail()}") from None
        self._kill_group()  # what it may have left behind
        self._reaper.release(self.pid)
        return code

    def stop(self, *, timeout: float = 20) -> int | None:
        """Ask it to end, and kill it with all its children when it does not; its exit code, if it was started."""
        if self._process is None:
            return None
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout=timeout)
        except ProcessError:
            return self.kill()

    def kill(self) -> int | None:
        """End it with all its children, at once and unasked."""
        if self._process is None:
            return None
        self._kill_group()
        return self.wait(timeout=20)

    def wait_for_port(self, port: int, *, timeout: float = 30) -> None:
        """Return as soon as the port of the loopback answers. Raises: ProcessError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise ProcessError(f"{self.command[0]} ended before port {port} answered.\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise ProcessError(f"{self.command[0]}: port {port} does not answer after {timeout:g} s.\n{self.log_tail()}")

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        return self.log_text()[-_LOG_TAIL_BYTES:]

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
