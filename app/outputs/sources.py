"""Where a table to compare may lie, and how it becomes a plain CSV file of this machine.

A path or an s3:// address; one file, or a folder of parts; CSV or Parquet; packed by gzip, bzip2, xz or Zstandard. The
first bytes of a file tell what it is, never its name.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from app.domain.errors import InvalidError
from app.outputs.joining import Heard
from app.outputs.parts import local_parts
from app.outputs.plain_csv import CsvFile, plain_csv

_S3_SCHEMES = ("s3", "s3a", "s3n")


@contextmanager
def open_source(
    address: str,
    *,
    name: str | None = None,
    delimiter: str | None = None,
    scratch: Path | None = None,
    heard: Heard = lambda _done, _total: None,
) -> Iterator[CsvFile]:
    """The table as a plain CSV file, while the context is open; one that is such a file already is used in place.

    A copy lies in `scratch` (the temporary folder), without a name: it is gone with its process, even a killed one.
    Without `delimiter`, the file's start tells it; Parquet becomes CSV with a comma. `heard` is told the bytes that
    were brought, and of how many (None: unknown); an error that it raises ends the bringing at once.

    Raises: NotFoundError, InvalidError for what is no table, StorageError.
    """
    scheme, separator, rest = address.partition("://")
    folder = Path(gettempdir()) if scratch is None else scratch
    if not separator:
        parts = local_parts(Path(address))
        with plain_csv(parts, name=name or address, delimiter=delimiter, scratch=folder, heard=heard) as file:
            yield file
        return
    bucket, _, key = rest.partition("/")
    if scheme.lower() not in _S3_SCHEMES or not bucket:
        raise InvalidError(f"{address} is no source: name a file, a folder, or s3://bucket/key.")
    with _s3_source(bucket, key, name=name or address, delimiter=delimiter, scratch=folder, heard=heard) as file:
        yield file


@contextmanager
def _s3_source(
    bucket: str, key: str, *, name: str, delimiter: str | None, scratch: Path, heard: Heard
) -> Iterator[CsvFile]:
    from app.aws.bucket import Bucket  # noqa: PLC0415 - boto3 takes 0.2 s to import, for nothing where files are local
    from app.aws.clients import AwsAccount, AwsClients  # noqa: PLC0415 - as above
    from app.outputs.s3_parts import s3_parts, told  # noqa: PLC0415 - as above

    with told(f"s3://{bucket}/{key}"):
        clients = AwsClients(account=AwsAccount.of_environment(os.environ))
    try:
        parts = s3_parts(Bucket(clients=clients, name=bucket), key)
        with plain_csv(parts, name=name, delimiter=delimiter, scratch=scratch, heard=heard) as file:
            yield file
    finally:
        clients.shut()
