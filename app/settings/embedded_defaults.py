"""What stands in for a file in the embedded mode: everything under one data folder, nothing to configure."""

import contextlib
import os
import secrets
from pathlib import Path

from app.settings.document import Tree

_SECRET_FILE = "jwt-secret"  # noqa: S105  the file's name


def embedded_defaults(data_dir: Path, *, port: int, health_port: int | None) -> Tree:
    """The tree that a file and the environment are laid over. Only this machine can connect."""
    admin_port = health_port if health_port is not None else port + 1 if port else 0
    return {
        "server": {
            "applicationConnectors": [{"type": "http", "port": port, "bindHost": "127.0.0.1"}],
            "adminConnectors": [{"type": "http", "port": admin_port, "bindHost": "127.0.0.1"}],
        },
        "meta_store": {"driverClass": "org.sqlite.JDBC", "url": f"sqlite+aiosqlite:///{data_dir / 'metadata.db'}"},
        "outputs": {"directory": str(data_dir / "outputs")},
        "udfs": {"cache_directory": str(data_dir / "jars")},
        "embedded": {"enabled": True, "directory": str(data_dir / "embedded")},
        "log": {"format": "text"},
    }


def kept_secret(data_dir: Path) -> str:
    """The data folder's own secret for tokens, made once and readable by its owner alone."""
    path = data_dir / _SECRET_FILE
    with contextlib.suppress(FileNotFoundError):
        path.chmod(0o600)
        return path.read_text(encoding="ascii").strip()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Two processes may start at once: each writes its own file, and the link succeeds for one of them only.
    draft = path.with_name(f"{_SECRET_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text(encoding="ascii").strip()
