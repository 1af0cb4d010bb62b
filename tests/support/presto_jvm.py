"""A real Presto and a real Trino of the tests' own, where scripts/fetch-presto has brought them."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from app.engines.presto.dialect import Dialect
from tests.support.processes import ProcessError, Reaper
from tests.support.server import PrivateServer

_VERSIONS = {Dialect.PRESTO: "0.287", Dialect.TRINO: "435"}
_MAIN = {Dialect.PRESTO: "com.facebook.presto.server.PrestoServer", Dialect.TRINO: "TrinoServer"}
_START_SECONDS = 90
_OPENED = (  # what both reach into, and Java 17 would refuse
    *("java.io", "java.lang", "java.net", "java.nio", "java.security", "java.text", "java.util", "java.util.regex"),
    *("javax.security.auth", "sun.nio.ch"),
)
_CONFIG = """
coordinator=true
node-scheduler.include-coordinator=true
node.environment=test
http-server.http.port={port}
http-server.log.enabled=false
discovery.uri=http://127.0.0.1:{port}
plugin.dir={home}/plugin
catalog.config-dir={folder}/catalog
query.max-memory=300MB
query.max-memory-per-node=300MB
memory.heap-headroom-per-node=100MB
"""
_MORE = {
    Dialect.PRESTO: "discovery-server.enabled=true\npresto.version=0.287\nquery.max-total-memory-per-node=400MB\n",
    Dialect.TRINO: "catalog.management=static\n",
}


class PrestoJvm(PrivateServer):
    """One node that is its own worker, with one catalogue named memory."""

    def __init__(self, *, dialect: Dialect, home: Path, reaper: Reaper) -> None:
        self.dialect = dialect
        self._home = home
        super().__init__(name=str(dialect).lower(), reaper=reaper)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        (self.folder / "catalog").mkdir(exist_ok=True)
        (self.folder / "catalog" / "memory.properties").write_text("connector.name=memory\n")
        config = self.folder / "config.properties"
        values = {"port": self.port, "home": self._home, "folder": self.folder}
        config.write_text(_CONFIG.format(**values) + _MORE[self.dialect])
        return [
            "java",
            "-Xmx800m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # the rest of the compiler pays after minutes only
            "-Djdk.attach.allowAttachSelf=true",
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            f"-Dconfig={config}",
            "-cp",
            f"{self._home}/classes:{self._home}/lib/*",
            _MAIN[self.dialect],
            _VERSIONS[self.dialect],
        ]

    def start(self) -> None:
        self.process.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if not self.process.running or time.monotonic() > deadline:
                raise ProcessError(f"{self.dialect} did not start.\n{self.process.log_tail()}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        """Whether it runs queries: it accepts them before it knows of itself as its worker."""
        headers = {self.dialect.header("User"): "tests"}
        try:
            if httpx.get(f"{self.url}/v1/info", timeout=2).json()["starting"]:
                return False
            answer = httpx.post(f"{self.url}/v1/statement", content="SELECT 1", headers=headers, timeout=5).json()
            while "nextUri" in answer:
                answer = httpx.get(answer["nextUri"], headers=headers, timeout=5).json()
        except (httpx.TransportError, ValueError, KeyError):
            return False
        return "error" not in answer


def brought(dialect: Dialect) -> Path | None:
    """The folder of the server, if it is there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "data-phantom" / f"{dialect.lower()}-{_VERSIONS[dialect]}"
    return home if home.is_dir() and shutil.which("java") else None
