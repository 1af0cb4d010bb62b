"""One run of a program: how long, how much memory, what it said; ended when it takes too much of either."""

import math
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import BinaryIO

from tests.benchmarks.usage import PeakMemory

ROOT = Path(__file__).parents[3]
SAMPLE_SECONDS = 0.01
LAST_WORDS = 2000  # of what failed, in characters
TOO_LONG, TOO_LARGE = "too long", "too much memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    seconds: float
    memory_mb: float = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """`cut` says why it was ended before it was done. Memory is that of all its processes at a time."""

    seconds: float
    cpu_seconds: float
    memory_mb: float
    output: str
    errors: str
    cut: str | None = None


class ContenderFailedError(Exception):
    """A program ended with an error of its own."""


def run(command: Sequence[str], limits: Limits) -> Run:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin, cpu = perf_counter(), _cpu_seconds_of_children()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
        memory = PeakMemory(process.pid)
        cut = None
        try:
            while process.poll() is None and not (cut := _excess(perf_counter() - begin, memory.mb, limits)):
                memory.sample()
                sleep(SAMPLE_SECONDS)
            seconds = perf_counter() - begin
        finally:
            with suppress(ProcessLookupError):  # its own children too, and whatever interrupts us
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = [_text(file) for file in (output, errors)]
    if process.returncode and not cut:
        raise ContenderFailedError(f"{command[0]} ended with {process.returncode}: {texts[1][-LAST_WORDS:]}")
    used = _cpu_seconds_of_children() - cpu
    return Run(seconds=seconds, cpu_seconds=used, memory_mb=memory.mb, output=texts[0], errors=texts[1], cut=cut)


def _cpu_seconds_of_children() -> float:
    """Of those that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _excess(seconds: float, memory_mb: float, limits: Limits) -> str | None:
    if seconds > limits.seconds:
        return TOO_LONG
    return TOO_LARGE if memory_mb > limits.memory_mb else None


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
