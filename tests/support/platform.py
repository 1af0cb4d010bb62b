"""The platform in processes of its own, as an operator would run it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import Reaper, free_port

PROGRAM = str(Path(sys.executable).with_name("data-phantom"))


class Platform:
    """Settings for one deployment, and the processes that were started of it."""

    def __init__(
        self, *, folder: Path, database_url: str, redis_url: str, reaper: Reaper | None = None, **extra: str
    ) -> None:
        self.folder = folder
        self.port, self.health_port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._reaper = reaper
        self.environment = {
            **plain_environment(),
            "DATA_PHANTOM__META_STORE__URL": database_url,
            "DATA_PHANTOM__REDIS__URL": redis_url,
            "DATA_PHANTOM__OUTPUTS__DIRECTORY": str(folder / "outputs"),
            "DATA_PHANTOM__EMBEDDED__ENABLED": "true",
            "DATA_PHANTOM__EMBEDDED__DIRECTORY": str(folder / "embedded"),
            "DATA_PHANTOM__JWT__SECRETKEY": "a secret of the tests: long, odd, 0123456789 !",
            "DATA_PHANTOM__LOG__FORMAT": "text",
            **extra,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *arguments], env=self.environment, capture_output=True, text=True, timeout=120, check=True
        )

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a part; its standard error goes to a file in the folder."""
        path = self.folder / f"{arguments[0]}-{len(self.processes)}.log"
        log = path.open("wb")
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        if self._reaper is not None:
            self._reaper.adopt(process.pid)
        self.processes.append(process)
        self._logs[process.pid] = path
        return process

    def start_embedded(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Everything in one process, on its own defaults and the data folder `data`."""
        self.environment = plain_environment()
        places = ("--data-dir", str(self.folder / "data"), "--port", str(self.port))
        return self.start("start", *places, "--health-port", str(self.health_port), *arguments)

    def serve(self, *, port: int | None = None, health_port: int | None = None) -> "subprocess.Popen[bytes]":
        return self.start(
            "serve",
            DATA_PHANTOM__SERVER__APPLICATIONCONNECTORS=f'[{{"type": "http", "port": {port or self.port}}}]',
            DATA_PHANTOM__SERVER__ADMINCONNECTORS=f'[{{"type": "http", "port": {health_port or self.health_port}}}]',
        )

    async def until_healthy(self, *, workers: int = 1, seconds: float = 30) -> dict[str, Any]:
        """Wait until health is green and at least so many workers live."""
        state: dict[str, Any] = {}
        async with httpx.AsyncClient() as client:
            for _ in range(int(seconds / 0.05)):
                try:
                    response = await client.get(f"http://127.0.0.1:{self.health_port}/health")
                    state = response.json()
                    if response.status_code == 200 and state["workers"] >= workers:
                        return state
                except httpx.HTTPError:
                    pass
                self.complain_of_the_dead()
                await asyncio.sleep(0.05)
        raise AssertionError(f"the platform is not healthy after {seconds} s: {state}\n{self.logs()}")

    async def until_log(self, process: "subprocess.Popen[bytes]", text: str, *, seconds: float = 30) -> None:
        """Wait until a part has said so."""
        for _ in range(int(seconds / 0.05)):
            if text in self.log_of(process):
                return
            self.complain_of_the_dead()
            await asyncio.sleep(0.05)
        raise AssertionError(f"«{text}» was not said within {seconds} s\n{self.logs()}")

    def complain_of_the_dead(self) -> None:
        for process in self.processes:
            if process.poll() not in {None, 0, -signal.SIGKILL, -signal.SIGTERM}:
                raise AssertionError(f"{process.args} ended with {process.returncode}\n{self.logs()}")

    def log_of(self, process: "subprocess.Popen[bytes]") -> str:
        return self._logs[process.pid].read_text()

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if self._reaper is not None:
                self._reaper.release(process.pid)


def plain_environment() -> Mapping[str, str]:
    """This process's environment without settings that somebody may have made for a platform of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DATA_PHANTOM")}
