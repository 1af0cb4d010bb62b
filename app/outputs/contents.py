"""What a file is, by its first bytes and never by its name."""

import re
from pathlib import Path

from app.domain.errors import InvalidError
from app.outputs.compression import is_packed
from app.outputs.parquet_types import MAGIC

START_BYTES = 64 * 1024
_ZEROS_OF_UTF16 = 0.2  # of the bytes: in Western text half of them are, in other scripts the line ends at least
_OTHERS = {  # a header may well begin with ORC
    re.compile(rb"PK\x03\x04"): "a ZIP archive, as Excel's workbooks are",
    re.compile(rb"\xd0\xcf\x11\xe0"): "an old Excel workbook",
    re.compile(rb"ORC.*\0", re.DOTALL): "an ORC file",
    re.compile(rb"Obj\x01.*avro\.schema", re.DOTALL): "an Avro file",
    re.compile(rb".{257}ustar", re.DOTALL): "a tar archive",
    re.compile(rb"\xff\xfe|\xfe\xff"): "UTF-16",
}


def is_plain_text(path: Path, name: str) -> bool:
    """Whether it can be read as it is; packed files and Parquet cannot.

    Raises: InvalidError for what cannot be compared at all.
    """
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if is_packed(start) or is_parquet(path):
        return False
    refuse_others(start, name, packed=False)
    return True


def is_parquet(path: Path) -> bool:
    """A CSV may begin so, but does not end so as well."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC or file.seek(0, 2) < 2 * len(MAGIC):
            return False
        file.seek(-len(MAGIC), 2)
        return file.read() == MAGIC


def refuse_others(start: bytes, name: str, *, packed: bool) -> None:
    """Raises: InvalidError for what the comparison would not read, or take for something else in silence."""
    looked_at = start[:START_BYTES]
    kind = next((kind for shape, kind in _OTHERS.items() if shape.match(looked_at)), None)
    if kind is None and looked_at.count(0) > len(looked_at) * _ZEROS_OF_UTF16:
        kind = "UTF-16, or binary"
    if kind is not None:
        raise InvalidError(
            f"{name} cannot be compared. {'What is packed in it is' if packed else 'It is'} {kind}: save it as CSV in"
            " UTF-8, or as Parquet."
        )
