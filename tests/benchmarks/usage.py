"""What a process and all its children take: memory and processor time, from Linux's /proc."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MB = 1_000_000


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for each in (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()):
        with suppress(OSError):
            children.setdefault(int(_stat(each)[1]), []).append(each)
    waiting = [pid]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += children.get(found, [])


def memory_mb(pid: int) -> float:
    """Memory of the whole family. What several share is counted once where the kernel tells the shares (PSS)."""
    return sum(_memory_bytes(each) for each in family(pid)) / _MB


class PeakMemory:
    """The most memory that a family had at a time, as far as samples tell; exact where it is one process."""

    FAMILY_SECONDS = 0.1  # to look for children takes milliseconds

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self._pid = pid
        self._members: list[int] = []
        self._next = 0.0

    def sample(self) -> None:
        if monotonic() >= self._next:
            self._members = list(family(self._pid))
            self._next = monotonic() + self.FAMILY_SECONDS
        together = sum(_resident_bytes(each) for each in self._members) / _MB
        self.mb = max(self.mb, together, *(peak_mb(each) for each in self._members))


def cpu_seconds(pid: int) -> float:
    """User and system time of the family so far, with that of children who have ended."""
    total = 0.0
    for each in family(pid):
        with suppress(OSError):
            total += sum(int(ticks) for ticks in _stat(each)[11:15]) / _TICKS
    return total


def peak_mb(pid: int) -> float:
    """The most memory that the program of one process has had so far; 0 where it has ended."""
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / _MB
    return 0.0


def _memory_bytes(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return _resident_bytes(pid)


def _resident_bytes(pid: int) -> int:
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may itself hold blanks: state, parent, …"""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
