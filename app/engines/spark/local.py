"""A Spark Connect server that this process starts from a distribution, when the first work comes, and keeps warm."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from app.engines.base import TerminalEngineError, TransientEngineError
from app.engines.spark import guard
from app.engines.spark.address import SparkAddress
from app.engines.spark.client import SparkClient

_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_START_SECONDS = 120.0
_LOG_TAIL_BYTES = 2_000
# The rest of the environment is the platform's own, secrets among it, and no business of what tasks can look at.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "HOME", "USER", "JAVA_HOME", "HADOOP_CONF_DIR", "SPARK_CONF_DIR", "TMPDIR")


class Distribution:
    """An unpacked Spark, and what its programs are started with."""

    def __init__(self, *, home: Path, master: str, driver_memory_bytes: int, conf: Mapping[str, str]) -> None:
        self.home = home
        self._master = master
        self._memory = f"{driver_memory_bytes // 1024**2}m"
        self._conf = conf

    def check(self) -> None:
        """Raises: TerminalEngineError."""
        if not self._submit.is_file():
            raise TerminalEngineError(f"There is no Spark in {self.home}: {self._submit} is missing.", code="NO_SPARK")
        if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise TerminalEngineError("Spark needs Java, and there is none on the PATH; install one.", code="NO_JAVA")

    def command(self, conf: Mapping[str, str], *program: str) -> list[str]:
        """By spark-submit; the settings' own keys win over those given here."""
        options = [part for name, value in {**conf, **self._conf}.items() for part in ("--conf", f"{name}={value}")]
        return [str(self._submit), "--master", self._master, "--driver-memory", self._memory, *options, *program]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return passed | {"SPARK_HOME": str(self.home), "PYSPARK_PYTHON": sys.executable} | dict(more)

    def catalogue_conf(self, folder: Path) -> dict[str, str]:
        """Tables live in the folder unless the distribution has a metastore of its own."""
        conf = os.environ.get("SPARK_CONF_DIR")
        hive = {"spark.sql.catalogImplementation": "hive"}  # without it there are no functions of Hive's kind
        if ((Path(conf) if conf else self.home / "conf") / "hive-site.xml").is_file():
            return hive
        return hive | {
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'meta'};create=true",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        }

    @property
    def _submit(self) -> Path:
        return self.home / "bin" / "spark-submit"


class LocalServer:
    """Listens on the loopback, for who has the token; dies with this process, and is started anew when it has died.

    Without a metastore of the distribution's own (conf/hive-site.xml), the tables are gone with the server.
    """

    outlives_this_process = False

    def __init__(self, *, distribution: Distribution, folder: Path) -> None:
        self._distribution = distribution
        self._folder = folder
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._client: SparkClient | None = None

    @property
    def process_id(self) -> int | None:
        """Of the server while it lives; its process group has the same number."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def client(self) -> SparkClient:
        async with self._lock:
            if self._client is None or self.process_id is None:
                await self._end()
                self._client = await self._start()
            return self._client

    async def check(self) -> None:
        """A server that nobody has needed as yet is not started for a look."""
        self._distribution.check()

    async def close(self) -> None:
        async with self._lock:
            await self._end()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _start(self) -> SparkClient:
        self._distribution.check()
        port, token = _free_port(), secrets.token_hex(32)
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guarded(),
                *self._distribution.command(self._conf(port), "--class", _SERVER, "spark-internal"),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._distribution.environment({"SPARK_CONNECT_AUTHENTICATE_TOKEN": token}),
                start_new_session=True,
            )
        await self._listens(self._process, port)
        # By this name Spark's own client sends a token without TLS.
        return SparkClient(SparkAddress(host="localhost", port=port, token=token))

    async def _listens(self, process: asyncio.subprocess.Process, port: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while process.returncode is None and loop.time() < deadline:
            with suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)
        last_words = (self._folder / "log").read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        await self._end()
        raise TransientEngineError(f"Spark could not be started; its last words: {last_words}", code="NO_SPARK")

    async def _end(self) -> None:
        client, self._client = self._client, None
        process, self._process = self._process, None
        if client is not None:
            await client.close()
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):  # the second where the group is ending
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _conf(self, port: int) -> Mapping[str, str]:
        cores = os.cpu_count() or 2
        return {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": str(self._folder / "local"),
            "spark.sql.shuffle.partitions": str(cores * 2),  # 200 are for clusters
            "spark.ui.enabled": "false",
        } | self._distribution.catalogue_conf(self._folder)


def guarded() -> tuple[str, ...]:
    """What a command begins with that is to end with this process; isolated, for the guard has a folder of modules."""
    return sys.executable, "-I", guard.__file__


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
