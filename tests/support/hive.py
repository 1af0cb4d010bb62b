"""A real Hive, where `scripts/fetch-hive` has brought one: HiveServer2, metastore and Tez in one JVM."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.support.server import PrivateServer

HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "data-phantom" / "hive-4.0.1"
_START_SECONDS = 120
# What Hive and Hadoop reach into, and Java 17 closes.
_OPENED = (
    *("lang", "lang.reflect", "util", "util.concurrent", "util.concurrent.atomic", "util.regex"),
    *("io", "net", "nio", "time"),
)


def brought() -> bool:
    return HOME.is_dir()


class HiveServer(PrivateServer):
    """Everything in one JVM and one folder: no HDFS, no YARN."""

    def command(self) -> Sequence[str | Path]:
        (self.folder / "hive-site.xml").write_text(_site(self._properties()))
        opened = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
        return [
            *("java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *(*opened, "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"),
            *(f"-Djava.io.tmpdir={self.folder}", f"-Dderby.system.home={self.folder}"),
            *("-cp", f"{self.folder}:{HOME}/lib/*", "org.apache.hive.service.server.HiveServer2"),
        ]

    def start(self) -> None:
        self.process.start()
        self.process.wait_for_port(self.port, timeout=_START_SECONDS)

    def _properties(self) -> Mapping[str, object]:
        return {
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.folder}/metastore;create=true",
            "datanucleus.schema.autoCreateAll": "true",
            "hive.metastore.schema.verification": "false",
            "hive.metastore.warehouse.dir": f"file://{self.folder}/warehouse",
            "hive.metastore.warehouse.external.dir": f"file://{self.folder}/external",
            "hive.exec.scratchdir": f"file://{self.folder}/scratch",
            "hive.exec.local.scratchdir": self.folder / "local",
            "hive.downloaded.resources.dir": self.folder / "resources",
            "hive.server2.logging.operation.log.location": self.folder / "operations",
            "hive.server2.thrift.bind.host": self.host,
            "hive.server2.thrift.port": self.port,
            "hive.server2.webui.port": 0,
            "hive.server2.enable.doAs": "false",
            "hive.server2.tez.initialize.default.sessions": "false",
            "hive.server2.materializedviews.registry.impl": "DUMMY",
            "hive.metastore.event.db.notification.api.auth": "false",
            "hive.notification.event.poll.interval": "0s",
            "hive.support.concurrency": "false",
            "hive.txn.manager": "org.apache.hadoop.hive.ql.lockmgr.DummyTxnManager",
            "hive.execution.engine": "tez",
            "hive.tez.container.size": 256,
            "tez.local.mode": "true",
            "tez.ignore.lib.uris": "true",
            "tez.runtime.optimize.local.fetch": "true",
            "tez.staging-dir": self.folder / "staging",
            "fs.defaultFS": "file:///",
        }


def _site(properties: Mapping[str, object]) -> str:
    lines = [
        f"<property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in properties.items()
    ]
    return "\n".join(["<configuration>", *lines, "</configuration>"])
