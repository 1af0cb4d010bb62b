"""A MariaDB of the tests' own: a copied data folder, a free port, nothing of the system's."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from tests.support.processes import Reaper
from tests.support.server import PrivateServer

_USER = "phantom"
_PASSWORD = "p@ss:w/rd %41"  # what has to be quoted in a URL shows at once who does not quote it
# The installer runs without grants, and takes a statement a line.
_SETUP = f"""
FLUSH PRIVILEGES;
CREATE USER '{_USER}'@'%' IDENTIFIED BY '{_PASSWORD}';
GRANT ALL ON *.* TO '{_USER}'@'%' WITH GRANT OPTION;
"""
# Debian's log file of 96 MB would have to be copied for every server.
_LAYOUT = ("--innodb-log-file-size=8M", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci")
_INSTALL_TIMEOUT_SECONDS = 120


class MariaDB(PrivateServer):
    """A server with an account of its own, which may do everything."""

    user = _USER
    password = _PASSWORD

    def __init__(self, *, template: Path, reaper: Reaper, in_place: bool = False, options: Sequence[str] = ()) -> None:
        """On a copy of `template`, or on it itself, which is kept; `options` win over those that all servers have."""
        self._options = options
        super().__init__(name="mariadb", reaper=reaper)
        if in_place:
            (self.folder / "data").symlink_to(template)
        else:
            shutil.copytree(template, self.folder / "data")

    def command(self) -> Sequence[str | Path]:
        return [
            program("mariadbd"),
            "--no-defaults",
            *_as_root(),
            f"--datadir={self.folder / 'data'}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--tmpdir={self.folder}",  # in a shared one, a server that starts removes the others' temporary tables
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--skip-name-resolve",
            *_LAYOUT,
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2",  # survives a kill of the server, and saves the disk
            "--max-connections=500",
            *self._options,
        ]

    @property
    def _socket(self) -> Path:
        return self.folder / "s.sock"

    def create_database(self) -> str:
        """A new, empty database; its name."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def url(self, database: str) -> str:
        """The database's URL for SQLAlchemy and asyncmy."""
        return f"mariadb+asyncmy://{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"

    def jdbc_url(self, database: str) -> str:
        """The database's URL as the specification writes it; user and password go beside it."""
        return f"jdbc:mariadb://{self.host}:{self.port}/{database}"

    def execute(self, sql: str, *, database: str = "") -> str:
        """Run SQL by the command line's client, aside from every driver; what it prints, tab-separated."""
        done = subprocess.run(
            [*self._client("--batch"), database],
            input=sql,
            env={**os.environ, "MYSQL_PWD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"MariaDB refused {sql[:200]!r}: {done.stderr}")
        return done.stdout

    def batch_command(self, sql: str, *, database: str) -> list[str]:
        """The same client, which writes the rows of one query to its standard output as they come."""
        # Not by the environment: it is run by others. The server is a test's own, and so is the password.
        return [*self._client("--batch", "--quick", f"--password={self.password}"), f"--execute={sql}", database]

    def _client(self, *options: str) -> list[str]:
        place = (f"--socket={self._socket}", f"--user={self.user}", "--default-character-set=utf8mb4")
        return [program("mariadb"), "--no-defaults", *options, *place]


def prepared_data(cache: Path) -> Path:
    """The data folder that servers are copied from, made once for each version of MariaDB."""
    version = subprocess.run([program("mariadbd"), "--version"], capture_output=True, check=True).stdout
    recipe = sha256(repr((version, _SETUP, _LAYOUT)).encode()).hexdigest()[:16]
    prepared = cache / recipe
    if prepared.exists():
        return prepared
    draft = Path(tempfile.mkdtemp(prefix="dp-mariadb-"))
    setup = draft / "setup.sql"
    setup.write_text(_SETUP)
    try:
        _install(draft / "data", setup)
        # Another test run may have been faster; a rename onto a folder that is not empty fails.
        staged = cache / f"{recipe}.{os.getpid()}"
        shutil.copytree(draft / "data", staged)
        try:
            staged.rename(prepared)
        except OSError:
            shutil.rmtree(staged)
    finally:
        shutil.rmtree(draft)
    return prepared


def _install(data: Path, setup: Path) -> None:
    done = subprocess.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            *_as_root(),
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--extra-file={setup}",
            *_LAYOUT,
        ],
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"MariaDB's data folder could not be made:\n{done.stdout}\n{done.stderr}")


def program(name: str) -> str:
    """Debian keeps servers in /usr/sbin, which is on no ordinary user's path."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        raise AssertionError(f"{name} is not installed: run scripts/test, which brings what the tests need")
    return found


def _as_root() -> tuple[str, ...]:
    return ("--user=root",) if os.geteuid() == 0 else ()
