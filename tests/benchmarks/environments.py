"""Virtual environments for what is measured beside us: its pins do not agree with ours, and not everybody wants it.

Each is made once, below ~/.cache/data-phantom-bench or $DATA_PHANTOM_BENCH_CACHE.
"""

import os
import subprocess
import sys
from pathlib import Path


def cache() -> Path:
    return Path(os.environ.get("DATA_PHANTOM_BENCH_CACHE") or Path.home() / ".cache" / "data-phantom-bench")


def find(name: str, *requirements: str) -> str | None:
    """The Python that has these packages, or None."""
    python, stamp = _places(name)
    return str(python) if stamp.exists() and stamp.read_text() == " ".join(requirements) else None


def ensure(name: str, *requirements: str) -> str:
    """The same, made where it is not there."""
    found = find(name, *requirements)
    if found:
        return found
    python, stamp = _places(name)
    sys.stderr.write(f"Installing {' '.join(requirements)} into {stamp.parent} …\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", stamp.parent], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    stamp.write_text(" ".join(requirements))
    return str(python)


def _places(name: str) -> tuple[Path, Path]:
    folder = cache() / name
    return folder / "bin" / "python", folder / "installed"
