"""What a script has written to its output path, read back by the Spark that it had."""

from pathlib import Path
from typing import Any

from app.engines.pyspark.result import ResultError

_FORMATS = {".parquet": "parquet", ".orc": "orc", ".json": "json", ".jsonl": "json", ".csv": "csv"}
_PARQUET_MAGIC = b"PAR1"


def written_rows(spark: Any, path: Path) -> Any:
    """A DataFrame of the files in the folder, or of the one file, at the path; None where nothing was written.

    The files' endings tell the format; CSV has a header. Raises: ResultError.
    """
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    files = [file for file in found if file.is_file() and file.name[0] not in "._"]
    formats = {_format(file) for file in files}
    if not formats:
        return None
    if len(formats) > 1:
        raise ResultError(f"The files at `output_path` are of several formats: {', '.join(sorted(formats))}.")
    (kind,) = formats
    return spark.read.format(kind).option("header", "true").load(str(path))


def _format(file: Path) -> str:
    """By the ending, also of a packed file; a file without one is Parquet where it begins so, and else CSV."""
    for ending in reversed(file.suffixes):
        if ending in _FORMATS:
            return _FORMATS[ending]
    with file.open("rb") as content:
        return "parquet" if content.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC else "csv"
