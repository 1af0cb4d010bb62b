"""Sources in a bucket: brought by ranges of one version, unpacked on their way, and what is refused told in words."""

import asyncio
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.aws.bucket import Bucket
from app.aws.errors import TerminalAwsError, TransientAwsError
from app.domain.errors import InvalidError, NotFoundError
from app.outputs.base import StorageError
from app.outputs.joining import Heard
from app.outputs.plain_csv import plain_csv
from app.outputs.s3_parts import REQUESTS_AT_ONCE, s3_parts, told
from app.outputs.sources import open_source
from tests.outputs.stored_files import files
from tests.support.moto import KEYS

TEXT = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(5_000))


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.outputs.s3_parts.READ_BYTES", 10_000)


@pytest.fixture
def bring(bucket: Bucket, tmp_path: Path) -> Callable[..., bytes]:
    """The bytes of the plain CSV that the source becomes."""

    def bring(key: str, heard: Heard = lambda _done, _total: None) -> bytes:
        with plain_csv(s3_parts(bucket, key), name=key, delimiter=None, scratch=tmp_path, heard=heard) as file:
            data = file.path.read_bytes()
        assert files(tmp_path) == []
        return data

    return bring


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those that are asked for, with the version wanted."""
    asked: list[str] = []
    read = Bucket.read

    def watched(self, key, start, end, *, etag=None):
        assert etag, "a range of no particular version may be of another one"
        asked.append(f"{start}-{end}")
        return read(self, key, start, end, etag=etag)

    monkeypatch.setattr(Bucket, "read", watched)
    return asked


async def test_an_object_is_brought_by_ranges_and_unpacked_on_its_way(bucket, bring, ranges):
    await bucket.put("a.csv", TEXT)
    await bucket.put("deep/b", gzip.compress(TEXT))
    await bucket.put("empty", b"")
    assert await asyncio.to_thread(bring, "a.csv") == TEXT
    assert sorted(ranges) == sorted(
        f"{start}-{min(start + 10_000, len(TEXT))}" for start in range(0, len(TEXT), 10_000)
    )
    assert await asyncio.to_thread(bring, "deep/b") == TEXT
    assert await asyncio.to_thread(bring, "empty") == b""


async def test_several_ranges_are_asked_for_at_once(bucket, bring, monkeypatch):
    await bucket.put("a", TEXT)
    read, barrier = Bucket.read, threading.Barrier(REQUESTS_AT_ONCE)

    def together(self, key, start, end, *, etag=None):
        if end <= REQUESTS_AT_ONCE * 10_000:
            barrier.wait(timeout=10)
        return read(self, key, start, end, etag=etag)

    monkeypatch.setattr(Bucket, "read", together)
    assert await asyncio.to_thread(bring, "a") == TEXT


async def test_objects_below_a_key_are_the_parts_of_a_table(bucket, bring):
    for name in ("part-2", "part-1", "_SUCCESS", ".hidden", "part-0"):
        await bucket.put(f"t/{name}", f"id\n{name}\n".encode())
    await bucket.put("t/part-3", b"")
    await bucket.put("t2/part-0", b"id\nanother\n")
    for key in ("t", "t/"):
        assert await asyncio.to_thread(bring, key) == b"id\npart-0\npart-1\npart-2\n"
    await bucket.put("p/day=1/part-0", b"id\n1\n")
    with pytest.raises(InvalidError, match="'day'"):
        await asyncio.to_thread(bring, "p")


async def test_an_object_that_is_replaced_meanwhile_is_an_error(bucket, clients, bring):
    await bucket.put("a", TEXT)

    def replace(_done: int, _total: int | None) -> None:
        clients.ask("s3", "put_object", Bucket=bucket.name, Key="a", Body=TEXT.upper())

    with pytest.raises(StorageError, match="replaced while it was read") as raised:
        await asyncio.to_thread(bring, "a", heard=replace)
    assert raised.value.retriable


async def test_who_wants_it_no_more_ends_it_while_the_network_is_silent(bucket, bring, tmp_path, monkeypatch):
    await bucket.put("a", TEXT)
    silent = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(*_args, **_kwargs):
        asyncio.run_coroutine_threadsafe(silent.wait(), loop).result()

    monkeypatch.setattr(Bucket, "read", hangs)
    calls: list[int] = []

    def stop(done: int, _total: int | None) -> None:
        calls.append(done)
        if len(calls) == 4:
            raise InterruptedError

    try:
        with pytest.raises(InterruptedError):
            await asyncio.to_thread(bring, "a", heard=stop)
        assert files(tmp_path) == []
    finally:
        silent.set()


async def test_what_is_not_there_is_told_with_its_address(bucket, bring):
    await bucket.put("t/_SUCCESS", b"x")
    for key in ("none", "none/", "t/"):
        with pytest.raises(NotFoundError, match=f"s3://results/{key}"):
            await asyncio.to_thread(bring, key)


async def test_an_address_is_asked_for_as_who_runs_the_command(bucket, moto_url, monkeypatch, tmp_path):
    await bucket.put("a;b.csv", b"id;name\n1;a\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def brought(address: str) -> tuple[str, str, bytes]:
        with open_source(address, scratch=tmp_path) as file:
            return file.name, file.delimiter, file.path.read_bytes()

    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID"):
        await asyncio.to_thread(brought, "s3://results/a;b.csv")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_key"])
    for scheme in ("s3", "s3a"):
        address = f"{scheme}://results/a;b.csv"
        assert await asyncio.to_thread(brought, address) == (address, ";", b"id;name\n1;a\n")
    with pytest.raises(NotFoundError, match="s3://no-such-bucket/a"):
        await asyncio.to_thread(brought, "s3://no-such-bucket/a")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match="AWS_PROFILE"):
        await asyncio.to_thread(brought, "s3://results/a;b.csv")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TerminalAwsError("Forbidden", code="403"), "s3:GetObject"),
        (TerminalAwsError("Denied", code="AccessDenied"), "s3:GetObject"),
        (TerminalAwsError("Expired", code="ExpiredToken"), "Renew"),
        (TerminalAwsError("Archived", code="InvalidObjectState"), "restore"),
        (TransientAwsError("Slow down.", code="SlowDown"), "Slow down"),
    ],
)
def test_what_aws_refuses_is_said_in_words(error, words):
    with pytest.raises(StorageError, match=words) as raised, told("s3://results/a"):
        raise error
    assert raised.value.retriable == error.retriable
