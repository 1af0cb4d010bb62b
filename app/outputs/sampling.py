"""Some rows of a table: the first ones, and more from several places of the file, so that order does not mislead."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from app.domain.errors import InvalidError
from app.domain.reconciliation.samples import TableSample
from app.outputs.csv_reader import IncompleteRecordError, Record, read_records
from app.outputs.parquet import spread_rows

PLACES = 13
ROWS = 20_000  # in all: more tell no more, and each is looked at for every pair of columns that may be a key
_START_BYTES = 256 * 1024
_PLACE_BYTES = 64 * 1024
_WHOLE_BYTES = _START_BYTES + (PLACES - 1) * _PLACE_BYTES  # 1 MiB
_LINE_ENDS_TRIED = 4
_PARQUET_PLACES, PARQUET_ROWS = 4, 1_000
_BOM = "\ufeff"

# The bytes between two offsets of a file: fewer at its end.
Read = Callable[[int, int], bytes]


def sample_file(path: Path, *, delimiter: str) -> TableSample:
    """Of a plain CSV file. Raises: InvalidError where it is none."""
    with path.open("rb") as file:
        descriptor = file.fileno()
        return sample_csv(
            lambda start, end: os.pread(descriptor, end - start, start),
            size_bytes=path.stat().st_size,
            delimiter=delimiter,
        )


def sample_parquet(path: Path, *, places: int = _PARQUET_PLACES) -> TableSample:
    """Raises: InvalidError where it is no Parquet file."""
    return spread_rows(path, places=places, rows=PARQUET_ROWS)


def sample_csv(read: Read, *, size_bytes: int, delimiter: str) -> TableSample:
    """A megabyte of the file at most. Raises: InvalidError where its start is no CSV."""
    whole = size_bytes <= _WHOLE_BYTES
    most = ROWS if whole else ROWS // PLACES
    start = read(0, min(size_bytes, _WHOLE_BYTES if whole else _START_BYTES)) if size_bytes else b""
    header, *first = _first_records(start, delimiter, whole=whole, most=most + 2)
    width = len(header)
    rows = _fitting(first[:most], width)
    if not whole:
        for place in _places(size_bytes):
            rows += _block(read(*place), delimiter, width, ended=place[1] >= size_bytes, most=most)
    return TableSample(columns=tuple(name or "" for name in header), rows=rows, whole=whole and len(first) <= most)


def _first_records(start: bytes, delimiter: str, *, whole: bool, most: int) -> list[Record]:
    records = _records(start if whole else _whole_lines(start), delimiter, most=most, whole=whole)
    if not records:
        raise InvalidError("This table cannot be sampled: it has no header, or one that is longer than 256 KiB.")
    return records


def _places(size_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges that are spread evenly over what follows the start, up to the very end."""
    last = size_bytes - _PLACE_BYTES
    for number in range(1, PLACES):
        start = _START_BYTES + (last - _START_BYTES) * number // (PLACES - 1)
        yield start, start + _PLACE_BYTES


def _block(text: bytes, delimiter: str, width: int, *, ended: bool, most: int) -> list[Record]:
    """The records behind a line end.

    That may be within quotes: the next ones are tried, and the place is left out where all give misfits.
    """
    text = text if ended else _whole_lines(text)
    start = 0
    for _ in range(_LINE_ENDS_TRIED):
        start = text.find(b"\n", start) + 1
        if not start:
            break
        try:
            records = _records(text[start:], delimiter, most=most, whole=False)
        except InvalidError:
            continue
        fitting = _fitting(records, width)
        if len(fitting) == len(records):
            return fitting
    return []


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]


def _fitting(records: list[Record], width: int) -> list[Record]:
    return [record for record in records if len(record) == width]


def _records(text: bytes, delimiter: str, *, most: int, whole: bool) -> list[Record]:
    """The first records; where the text is not the whole, the last may lack its end, and is left out."""
    records: list[Record] = []
    try:
        records.extend(islice(read_records([text.decode(errors="replace").removeprefix(_BOM)], delimiter), most))
    except IncompleteRecordError:
        if whole:
            raise
    return records
