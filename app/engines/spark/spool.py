"""Rows that have come from a server and wait to be fetched: Arrow as it was sent, in memory, or on disk when many."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.domain.csv_format import encode_rows
from app.domain.outputs import OutputColumn
from app.engines.pyspark.cells import cells_of, optional

_MEMORY_BYTES = 1024 * 1024
_ROWS_AT_ONCE = 5_000


class RowSpool:
    """The rows of one statement; a file among `folder`'s is gone with the object, and with the process."""

    def __init__(self, *, columns: tuple[OutputColumn, ...], folder: Path) -> None:
        self.columns = columns
        self.row_count = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, mode="w+b", dir=str(folder))  # noqa: SIM115 - lives as long as this

    def add(self, data: bytes, *, rows: int) -> None:
        """Take the next bytes of a row of Arrow streams, each of them whole in the end."""
        self._file.write(data)
        self.row_count += rows

    def records(self, delimiter: str) -> Iterator[bytes]:
        """CSV records by the house's rules, in pieces."""
        ipc = optional("pyarrow.ipc")
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            for batch in ipc.open_stream(self._file):
                yield from _encoded(batch, delimiter)

    def close(self) -> None:
        self._file.close()


def _encoded(batch: Any, delimiter: str) -> Iterator[bytes]:
    for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
        part = batch.slice(start, _ROWS_AT_ONCE)
        yield encode_rows(list(zip(*map(cells_of, part.columns), strict=True)), delimiter)
