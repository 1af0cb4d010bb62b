"""Bytes set aside on disk, in a file that has no name: it is gone with the process, even a killed one."""

import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import UnavailableError


class SpillFile(AbstractContextManager["SpillFile"]):
    """One thread appends; several may read, by place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed in __exit__
        self._end = 0

    def append(self, array: NDArray[Any]) -> int:
        """Gives the place where it now begins. Raises: UnavailableError where the disk has no room."""
        start = self._end
        data = _bytes_of(array)
        try:
            while data:  # unbuffered: a write may take a part alone
                written = os.pwrite(self._file.fileno(), data, self._end)
                data, self._end = data[written:], self._end + written
        except OSError as error:
            raise UnavailableError(
                f"No room for intermediate rows in {self._folder} ({error.strerror}): free space there, "
                "or set another folder for intermediate files."
            ) from error
        return start

    def read_into(self, array: NDArray[Any], start: int) -> None:
        """Fills an array from a place on."""
        if array.size:
            os.preadv(self._file.fileno(), [_bytes_of(array)], start)

    def read(self, start: int, count: int, kind: type[np.generic]) -> NDArray[Any]:
        array = np.empty(count, kind)
        self.read_into(array, start)
        return array

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
