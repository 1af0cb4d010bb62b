"""What the tests' own servers have in common: a folder, a port, and a life that a test may interrupt."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ManagedProcess, Reaper, free_port


class PrivateServer(ABC):
    """A server on the loopback; `stop()`, `kill()` and `start()` keep its folder and its address."""

    host = "127.0.0.1"

    def __init__(self, *, name: str, reaper: Reaper) -> None:
        # The path of a socket may not be longer than 107 bytes, so the folder is not among pytest's own.
        self.folder = Path(tempfile.mkdtemp(prefix=f"dp-{name}-"))
        reaper.remove_at_end(self.folder)
        self.port = free_port()
        self.process = ManagedProcess(self.command(), log=self.folder / "log", reaper=reaper, env=self.env())

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The program and its arguments."""

    def env(self) -> Mapping[str, str] | None:
        """The program's environment; None where it is that of the tests."""
        return None

    def start(self) -> None:
        self.process.start()
        self.process.wait_for_port(self.port)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Killed inside the `with`, and back after it, also when the test fails there."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
