"""A Spark of the tests' own: one warm JVM that is HiveServer2 and Spark Connect, over one metastore."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.processes import Reaper, free_port
from tests.support.server import PrivateServer

_FETCH = Path(__file__).parents[2] / "scripts" / "fetch-spark"
_START_SECONDS = 120
_LOOKS = 10  # a task at work may wait for a moment
# Everything is small here, and most of a query's time would go into compiling code that never runs again.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


@cache
def spark_home() -> Path:
    """The distribution, which is fetched once and kept outside the tree."""
    done = subprocess.run([_FETCH], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def spark_environment(folder: Path) -> Mapping[str, str]:
    """What a program of the distribution wants to find; nothing of a Spark that the machine may have."""
    foreign = ("SPARK_", "PYSPARK_", "HADOOP_", "HIVE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "SPARK_HOME": str(spark_home()),
        "SPARK_CONF_DIR": str(folder),  # what lies there is the test's own
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,  # Python functions run in it, by the libraries of the tests
    }


class SparkServer(PrivateServer):
    """Tables that one of the two protocols makes are there for the other; temporary views are each session's own."""

    def __init__(self, *, reaper: Reaper) -> None:
        self.hive_port = free_port()
        super().__init__(name="spark", reaper=reaper)

    @property
    def connect_url(self) -> str:
        return f"sc://{self.host}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        submit = spark_home() / "bin" / "spark-submit"
        server = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
        options = [option for name, value in self._conf().items() for option in ("--conf", f"{name}={value}")]
        return [submit, "--class", server, "--master", "local[2]", "--driver-memory", "1g", *options, "spark-internal"]

    def env(self) -> Mapping[str, str]:
        return spark_environment(self.folder)

    def start(self) -> None:
        self.process.start()
        for port in (self.port, self.hive_port):
            self.process.wait_for_port(port, timeout=_START_SECONDS)

    async def is_idle(self) -> bool:
        """It runs no task now: none of the threads that tasks run in is at work, or wants to be."""
        for _ in range(_LOOKS):
            if any(_state(thread) == "R" for thread in self._threads("Executor task l")):
                return False
            await asyncio.sleep(0.02)
        return True

    def _threads(self, name: str) -> Iterator[Path]:
        """By the 15 characters that the system keeps of a name."""
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # it has ended meanwhile
                if (thread / "comm").read_text().strip() == name:
                    yield thread

    def _conf(self) -> Mapping[str, object]:
        hive = "spark.hadoop.hive.server2"
        return {
            "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
            "spark.connect.grpc.binding.address": self.host,
            "spark.connect.grpc.binding.port": self.port,
            f"{hive}.thrift.bind.host": self.host,
            f"{hive}.thrift.port": self.hive_port,
            # Without these an operation has no log for the client.
            f"{hive}.logging.operation.enabled": "true",
            f"{hive}.logging.operation.level": "VERBOSE",
            f"{hive}.logging.operation.log.location": self.folder / "operations",
            "spark.driver.host": self.host,
            "spark.driver.bindAddress": self.host,
            "spark.hadoop.hive.exec.scratchdir": self.folder / "scratch",
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.folder}/meta;create=true",
            "spark.local.dir": self.folder / "local",
            "spark.sql.shuffle.partitions": 2,
            "spark.sql.warehouse.dir": self.folder / "warehouse",
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            "spark.driver.extraJavaOptions": " ".join(
                [*JVM_OPTIONS, f"-Djava.io.tmpdir={self.folder}", f"-Dderby.system.home={self.folder}"]
            ),
        }


def _state(thread: Path) -> str:
    """The letter of proc(5); the name before it may hold anything but a closing parenthesis at its end."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
