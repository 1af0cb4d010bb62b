"""What the cluster's programs share: the warm Spark of the tests, which knows no S3, and files that go to and fro."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

# Who asks without a signature is nobody, and may read nothing; nobody looks whether it is right.
_SIGNATURE = "AWS4-HMAC-SHA256 Credential=testing/20260105/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def connect() -> Any:
    """A session of this process's own; SIGTERM ends what it does in the server."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - in the programs alone

    os.environ["SPARK_REMOTE"] = os.environ["CLUSTER_SPARK"]  # for the script, which asks for a session too
    spark = SparkSession.builder.getOrCreate()

    def stop(_number: int, _frame: object) -> None:
        spark.interruptAll()
        os._exit(143)

    signal.signal(signal.SIGTERM, stop)
    return spark


def bring_job(script_uri: str, folder_uri: str) -> tuple[Path, Path]:
    """The script, and the folder of the try beside the attempt's job."""
    attempt = Path(tempfile.mkdtemp(dir=Path.cwd()))
    attempt_uri, _, number = folder_uri.rpartition("/")
    job = get(f"{attempt_uri}/job.json")
    for uri in _files_in(job.decode()):
        job = job.replace(uri.encode(), str(bring(uri)).encode())
    (attempt / "job.json").write_bytes(job)
    script = Path(tempfile.mkdtemp(dir=Path.cwd())) / script_uri.rpartition("/")[2]
    script.write_bytes(get(script_uri))
    return script, attempt / number


def bring_all(uris: str) -> list[Path]:
    return [bring(uri) for uri in uris.split(",") if uri]


def bring(uri: str) -> Path:
    """A file of S3 on this machine, under its own name."""
    path = Path(tempfile.mkdtemp(dir=Path.cwd())) / uri.rpartition("/")[2]
    path.write_bytes(get(uri))
    return path


def take_output(folder: Path, folder_uri: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            ask("PUT", f"{folder_uri}/{path.relative_to(folder)}", path.read_bytes())


def get(uri: str) -> bytes:
    return ask("GET", uri)


def ask(method: str, uri: str, data: bytes | None = None) -> bytes:
    url = uri.replace("s3:/", os.environ["CLUSTER_S3"], 1)
    headers = {"Authorization": _SIGNATURE, "Content-Type": "application/octet-stream"}
    with urlopen(Request(url, data, headers, method=method)) as response:
        body: bytes = response.read()
        return body


def _files_in(text: str) -> Iterator[str]:
    """JARs, and outputs that are to be compared."""
    kinds = (".jar", ".csv", ".parquet")
    yield from {part for part in text.split('"') if part.startswith("s3://") and part.endswith(kinds)}
