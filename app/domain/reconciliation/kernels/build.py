"""The process that compiles the kernels for this machine; it ends with its standard input, and so with who waits."""

import os
import sys
import tempfile
import threading
import time
from fcntl import LOCK_EX, flock
from pathlib import Path
from shutil import rmtree

from app.domain.reconciliation.kernels.cache import ASIDE, PREFIX
from app.domain.reconciliation.kernels.library import object_path

_UNUSED_DAYS = 30
_ASIDE_NICENESS = 15


def build(path: Path) -> None:
    """Leaves the object code at a path, where it is not yet; of several processes one compiles, and the others wait."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path.parent / "lock").open("wb") as lock:
        flock(lock, LOCK_EX)
        if path.exists():
            return
        from app.domain.reconciliation.kernels.compiler import object_code  # noqa: PLC0415 - Numba takes its time

        code = object_code()
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(code)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).rename(path)
    remove_unused(path.parent)


def remove_unused(folder: Path) -> None:
    """Removes the folders beside this one that no process has used for weeks."""
    for other in folder.parent.glob(f"{PREFIX}*"):
        if other != folder and other.stat().st_mtime < time.time() - _UNUSED_DAYS * 86_400:
            rmtree(other, ignore_errors=True)


def main() -> None:
    if ASIDE in sys.argv:
        os.nice(_ASIDE_NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    build(object_path())


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
