"""Folders of unfinished results; what a killed process left is removed by the next that starts."""

import fcntl
import shutil
from pathlib import Path
from uuid import uuid4

_OWNER = "owner.lock"


class ScratchFolder:
    """A folder that belongs to this object while it is open: the kernel frees its lock when the process dies."""

    def __init__(self, root: Path) -> None:
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        _remove_orphans(root)
        self.path = root / f"process-{uuid4().hex}"
        self.path.mkdir()
        self._owner = (self.path / _OWNER).open("a")
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._owner.close()


class JobFolder:
    """The folder of one job; most jobs need none, so it is made for the first file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = False

    @property
    def made(self) -> bool:
        return self._made

    def file(self, name: str) -> Path:
        """Where a file of that name may be written."""
        if not self._made:
            self.path.mkdir(parents=True, exist_ok=True)
            self._made = True
        return self.path / name

    def remove(self) -> None:
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)


def _remove_orphans(root: Path) -> None:
    for folder in root.glob("process-*"):
        try:
            with (folder / _OWNER).open("r+") as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, just being made, or removed by another process
            continue
