"""An nginx of the tests' own, which serves one site in the words of its example."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import Reaper
from tests.support.server import PrivateServer

# Alone and in the foreground; whatever is of Debian's layout is moved into the folder.
_MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx(PrivateServer):
    """`changes` are words of the site that are replaced: every one must be there, or the site is not what it was."""

    def __init__(self, *, site: Path, changes: Mapping[str, str], reaper: Reaper) -> None:
        super().__init__(name="nginx", reaper=reaper)
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        _make_certificate(certificate, key)
        self.trust = ssl.create_default_context(cafile=certificate)
        text = site.read_text()
        for old, new in {**changes, "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl"}.items():
            assert old in text, f"{site} does not say {old!r}"
            text = text.replace(old, new)
        text = text.replace("/etc/ssl/phantom/fullchain.pem", str(certificate))
        text = text.replace("/etc/ssl/phantom/privkey.pem", str(key))
        (self.folder / "site.conf").write_text(text)
        self._main.write_text(_MAIN.format(folder=self.folder))
        self.base = f"https://localhost:{self.port}"

    def command(self) -> Sequence[str | Path]:
        return [_program(), "-p", self.folder, "-c", self._main, "-e", "stderr"]

    @property
    def _main(self) -> Path:
        return self.folder / "nginx.conf"


def _program() -> str:
    places = [os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.prefix) / "debian" / "usr" / "sbin")]
    found = shutil.which("nginx", path=os.pathsep.join(places))
    if found is None:
        raise AssertionError("nginx is not there: run scripts/test, which brings what the tests need")
    return found


def _make_certificate(certificate: Path, key: Path) -> None:
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-out", str(certificate), "-keyout", str(key))
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
