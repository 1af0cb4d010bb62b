"""The two sides as the command line names them: plain local CSV files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import InvalidError, NotFoundError
from app.domain.reconciliation.delimiters import SAMPLE_BYTES, detect_delimiter
from app.domain.reconciliation.records import Records, Side
from app.reconcile.columns import Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A side that is ready to be compared; `side.size_bytes` is of what is read."""

    location: str
    side: Side
    header: Header


@contextmanager
def open_source(location: str, *, delimiter: str | None) -> Iterator[Source]:
    """A file; without a delimiter, the one that its first lines tell.

    Raises: NotFoundError, InvalidError; MalformedError for what has no header.
    """
    path = _file(location)
    with path.open("rb") as stream:
        start = stream.read(SAMPLE_BYTES)
    side = Side(
        open=lambda: path.open("rb"),
        size_bytes=path.stat().st_size,
        delimiter=delimiter or detect_delimiter(start),
        name=location,
    )
    with Records(side, lambda _: None) as records:
        header = Header(name=location, columns=tuple(name or "" for name in records.header))
    yield Source(location=location, side=side, header=header)


def _file(location: str) -> Path:
    path = Path(location)
    if not path.exists():
        raise NotFoundError(f"There is no file {location}: check the path.")
    if path.is_dir():
        raise InvalidError(f"{location} is a folder: name a file in it.")
    if not path.is_file():
        raise InvalidError(f"{location} is no plain file, and a side is read more than once: save it to a file first.")
    return path
