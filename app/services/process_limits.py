"""What a process that works for another one may take of their machine, said by itself at its start (Linux)."""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # the event loops and the other jobs of the machine come first
OOM_SCORE = 500  # of 1000: where memory runs out, the system ends this process, and not a worker or a database
PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent() -> None:
    """The system kills this process when the one that has started it is gone, however that has ended."""
    with suppress(OSError):
        ctypes.CDLL("libc.so.6", use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def let_others_go_first() -> None:
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def limit_memory(size_bytes: int) -> None:
    """From here on, an allocation that passes the limit raises MemoryError.

    It bounds what the process may write to and nobody else sees: the heap, arrays and stacks of threads. Files that
    are mapped for reading are the system's cache, which it takes back when it needs the room.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
