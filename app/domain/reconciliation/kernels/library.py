"""The compiled kernels of this process, loaded with the first call of one, or before."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.reconciliation.kernels.cache import SUFFIX, cache_folder, compile_apart

if TYPE_CHECKING:
    from llvmlite.binding import ExecutionEngine


class Library:
    """Threads may ask for the first addresses at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: ExecutionEngine | None = None

    def load(self, compiling: Callable[[float], None] = lambda _: None) -> None:
        """Where kernels have to be compiled for this machine, `compiling` hears 0.0 before and 1.0 behind that.

        Raises: UnavailableError.
        """
        with self._lock:
            if self._engine is None:
                self._engine = _linked(_object_code(compiling))

    def address(self, symbol: str) -> int:
        """Where a function's code is. Raises: UnavailableError."""
        self.load()
        if self._engine is None:
            raise AssertionError
        with self._lock:
            address: int = self._engine.get_function_address(symbol)
        if not address:
            raise AssertionError(symbol)
        return address


LIBRARY = Library()  # of the process, as its code is


def object_path() -> Path:
    """The file for this processor."""
    from llvmlite import binding  # noqa: PLC0415 - 35 ms, which nobody pays who calls no kernel

    processor = f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    return cache_folder() / f"{sha256(processor.encode()).hexdigest()[:16]}{SUFFIX}"


def _object_code(compiling: Callable[[float], None]) -> bytes:
    path = object_path()
    if not path.exists():
        compiling(0.0)
        compile_apart()
        compiling(1.0)
    with suppress(OSError):
        os.utime(path.parent)  # in use: what was not for long is removed by `build`
    return path.read_bytes()


def _linked(code: bytes) -> "ExecutionEngine":
    from llvmlite import binding  # noqa: PLC0415 - likewise

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine
