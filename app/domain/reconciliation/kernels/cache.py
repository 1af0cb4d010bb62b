"""Where compiled kernels lie, and how they come there: compiled once, by a process of its own.

In the user's cache is a folder that is named by all that the code depends on, the sources of the kernels and the
versions of what compiles them; in it is one file for each kind of processor.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from app.domain.errors import UnavailableError

VARIABLE = "DATA_PHANTOM_KERNELS"  # another place than the user's cache
PREFIX, SUFFIX = "kernels-", ".o"
BUILD = (sys.executable, "-m", "app.domain.reconciliation.kernels.build")
ASIDE = "--aside"  # to be compiled where nobody waits

_COMPILERS = (("numba", "_version.py"), ("llvmlite", "_version.py"), ("numpy", "version.py"))


def cache_folder() -> Path:
    digest = sha256(sys.version.encode())
    for source in _sources():
        digest.update(b"\0" + source.read_bytes())
    return _base() / f"{PREFIX}{digest.hexdigest()[:16]}"


def is_writable() -> bool:
    """Whether the folder can be made; an account without a home has none, as containers have it."""
    base = _base()
    nearest = next((place for place in (base, *base.parents) if place.exists()), None)
    return base.is_absolute() and nearest is not None and os.access(nearest, os.W_OK)


def is_filled() -> bool:
    """Whether kernels were compiled here, for some processor; asked without a look at this one, which takes long."""
    return any(cache_folder().glob(f"*{SUFFIX}"))


def compile_apart() -> None:
    """Has all kernels compiled, or waits for another process that does it. Raises: UnavailableError."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        BUILD,
        stdin=subprocess.PIPE,  # held open: the process ends where this one does
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    with process:
        told = process.stderr.read() if process.stderr is not None else ""
    if process.returncode:
        words = told.strip().rpartition("\n")[2] or f"status {process.returncode}"
        raise UnavailableError(
            f"The native code of the comparison could not be compiled for this machine ({words}): see to it that "
            f"{_base()} may be written to (or name another folder by {VARIABLE}), and that a quarter of a gigabyte of "
            "memory is free, then start the comparison again."
        )


def _base() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path's fails without a home
    return Path(os.environ.get(VARIABLE) or Path(cache) / "data-phantom")


def _sources() -> Iterator[Path]:
    yield from sorted(Path(__file__).parent.glob("*.py"))
    yield Path(__file__).parent.with_name("cells.py")  # how many digits are written out
    for name, version in _COMPILERS:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise AssertionError(name)  # is not installed
        yield Path(spec.origin).with_name(version)
