"""Sources on this machine: whatever they are, a plain CSV file comes of them, and nothing stays behind."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from app.domain.errors import InvalidError, NotFoundError
from app.outputs.base import StorageError
from app.outputs.sources import open_source
from tests.outputs.stored_files import files, open_copies

TEXT = b'id,name\n1,a\n2,""\n3,\n'


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def bring(tmp_path: Path, scratch: Path) -> Callable[..., bytes]:
    """The bytes of the plain CSV that a source becomes, after a look that nothing is left of a copy."""

    def bring(source: bytes | Path, **options) -> bytes:
        path = source if isinstance(source, Path) else tmp_path / "source"
        if isinstance(source, bytes):
            path.write_bytes(source)
        with open_source(str(path), scratch=scratch, **options) as file:
            data = file.path.read_bytes()
            assert len(data) == file.size_bytes
        assert files(scratch) == []
        return data

    return bring


def zstandard(data: bytes) -> bytes:
    pa = pytest.importorskip("pyarrow")
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard}
MANY = b"id,text\n" + b"".join(b"%d,%s\n" % (number, b"x" * (number % 200)) for number in range(12_000))


def test_a_plain_file_is_used_where_it_lies(tmp_path, scratch):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id;name\n1;a\n")
    with open_source(str(path), scratch=scratch, name="left") as file:
        assert (file.path, file.copied, file.delimiter, file.name) == (path, False, ";", "left")
        side = file.side()
        with side.open() as first, side.open() as second:
            assert first.read() == second.read() == b"id;name\n1;a\n"
    assert not scratch.exists()


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_files_are_known_by_their_first_bytes_and_may_have_several_members(packer, bring):
    pack = PACKERS[packer]
    assert bring(pack(TEXT)) == TEXT
    assert bring(pack(MANY[:70_000]) + pack(MANY[70_000:])) == MANY


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_that_ends_too_soon_is_refused_and_leaves_nothing(packer, bring, scratch):
    with pytest.raises(InvalidError, match="damaged or incomplete"):
        bring(PACKERS[packer](os.urandom(100_000))[:-10])
    assert files(scratch) == []


def test_what_follows_a_packed_file_is_no_row(bring):
    assert bring(gzip.compress(TEXT) + bytes(512)) == TEXT, "tapes end with zeros"
    with pytest.raises(InvalidError, match="damaged"):
        bring(gzip.compress(TEXT) + b"garbage")


def test_parquet_becomes_csv_with_null_and_the_empty_string_apart(tmp_path, bring):
    path = tmp_path / "named.csv"
    duckdb.sql(
        "SELECT 1 AS id, 'a;b' AS name, 1.50::DECIMAL(9,2) AS price, '\\xFF'::BLOB AS raw,"
        " TIMESTAMP '2026-01-05 10:00:00' AS at, TIMESTAMP_NS '2026-01-05 10:00:00.000000001' AS fine"
        " UNION ALL SELECT NULL, '', NULL, NULL, NULL, NULL"
    ).write_parquet(str(path))
    assert bring(path).splitlines() == [
        b"id,name,price,raw,at,fine",
        b"1,a;b,1.50,/w==,2026-01-05 10:00:00,2026-01-05 10:00:00.000000001",
        b',"",,,,',
    ]
    assert bring(gzip.compress(path.read_bytes()), delimiter=";").startswith(b'id;name;price;raw;at;fine\n1;"a;b";')


def test_a_csv_may_begin_as_parquet_does(bring):
    assert bring(b"PAR1,b\n1,2\n") == b"PAR1,b\n1,2\n"
    assert bring(gzip.compress(b"PAR1,b\n1,2\n")) == b"PAR1,b\n1,2\n"
    assert bring(b"ORC_ID,b\n1,2\n") == b"ORC_ID,b\n1,2\n"


def test_a_damaged_parquet_file_is_told(bring):
    with pytest.raises(StorageError, match="could not be converted"):
        bring(b"PAR1" + bytes(100) + b"PAR1")


def archive() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.csv"))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("id,name\n1,a\n".encode("utf-16"), "UTF-16"),
        ("id,name\n1,a\n".encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04 and so on", "ZIP archive"),
        (b"ORC\n\x0b\0\0 and so on", "ORC"),
        (b"Obj\x01\x04\x14avro.codec\x08null\x16avro.schema", "Avro"),
        (archive(), "packed in it is a tar"),
    ],
)
def test_what_is_no_table_for_us_is_named_and_never_guessed_at(data, kind, bring):
    with pytest.raises(InvalidError, match=kind):
        bring(data)


def test_parts_in_a_folder_are_put_together_with_one_header(tmp_path, bring):
    folder = tmp_path / "table"
    (folder / "_temporary").mkdir(parents=True)
    for name, data in {
        "part-00000.csv": TEXT.removesuffix(b"\n"),
        "part-00001.csv.gz": gzip.compress(b'\xef\xbb\xbfid,name\r\n4,"x\ny"\r\n'),
        "part-00002.csv": b"",
        "part-00003.csv": b"id,name\n",
        "_SUCCESS": b"",
        "_temporary/part-9": b"5,z\n",
        ".part-00000.csv.crc": b"crc",
    }.items():
        (folder / name).write_bytes(data)
    duckdb.sql("SELECT 6 AS id, 'p' AS name").write_parquet(str(folder / "part-00004"))
    assert bring(folder) == TEXT + b'4,"x\ny"\r\n6,p\n'


def test_parts_whose_headers_differ_are_refused_by_name(tmp_path, bring):
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"id,name\n1,a\n")
    (folder / "b.csv").write_bytes(b"2,b\n")
    with pytest.raises(InvalidError, match=r"b\.csv has another header than .*a\.csv"):
        bring(folder)


def test_a_header_may_have_several_lines(tmp_path, bring):
    folder = tmp_path / "table"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(b'id,"na""\nme"\n%b,1\n' % name.encode())
    assert bring(folder) == b'id,"na""\nme"\na,1\nb,1\n'


def test_a_partitioned_folder_is_refused_since_its_files_lack_a_column(tmp_path, bring):
    (tmp_path / "table" / "day=1").mkdir(parents=True)
    (tmp_path / "table" / "day=1" / "part-0").write_bytes(TEXT)
    with pytest.raises(InvalidError, match="'day'"):
        bring(tmp_path / "table")
    assert bring(tmp_path / "table" / "day=1") == TEXT


def test_what_is_not_there_or_no_address_is_told(tmp_path, bring):
    with pytest.raises(NotFoundError, match="There is no file"):
        bring(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="without files"):
        bring(tmp_path / "empty")
    for address in ("http://host/a.csv", "s3://"):
        with pytest.raises(InvalidError, match="is no source"), open_source(address):
            pass


def test_a_pipe_is_read_once(tmp_path, bring):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(MANY,))
    writer.start()
    assert bring(path) == MANY
    writer.join()


def test_the_bytes_that_are_brought_are_told_and_reach_the_size(bring):
    packed = gzip.compress(MANY)
    told: list[tuple[int, int | None]] = []
    bring(packed, heard=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[0] == (0, len(packed))
    assert told[-1] == (len(packed), len(packed))


class StopError(OSError):
    """As what reads packed files raises where they are damaged."""


@pytest.mark.parametrize("kind", ["gzip", "zstd", "parquet"])
def test_who_wants_it_no_more_ends_it_and_nothing_is_left(kind, tmp_path, bring, scratch, monkeypatch):
    monkeypatch.setattr("app.outputs.parquet._LOOK_UP_SECONDS", 0.01)  # a quick machine is done before the usual look
    path = tmp_path / "source"
    if kind == "parquet":
        duckdb.sql("SELECT i, repeat('x', 500) || i AS s FROM range(80000) r(i)").write_parquet(str(path))
    else:
        path.write_bytes(PACKERS[kind](os.urandom(5_000_000)))
    calls = []

    def stop(done: int, _total: int | None) -> None:
        calls.append(done)
        if len(calls) > 1:
            raise StopError

    with pytest.raises(StopError):
        bring(path, heard=stop)
    assert len(calls) == 2
    assert files(scratch) == []
    assert open_copies(scratch) == 0


def test_a_copy_is_opened_by_other_processes_as_often_as_they_like(tmp_path, scratch):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT))
    with open_source(str(path), scratch=scratch) as file:
        program = "import sys; print(*(open(sys.argv[1]).read() for _ in range(2)), sep='', end='')"
        read = subprocess.run([sys.executable, "-c", program, str(file.path)], check=True, capture_output=True)
    assert read.stdout == TEXT + TEXT
    assert not file.path.exists()


def test_a_full_disk_is_told_with_the_place_and_leaves_nothing(bring, monkeypatch):
    monkeypatch.setattr("app.outputs.plain_csv.nameless_file", _full)
    with pytest.raises(StorageError, match="finds no room"):
        bring(gzip.compress(TEXT))


class _full:  # noqa: N801 - stands in for a function
    def __init__(self, _folder: Path) -> None:
        pass

    def __enter__(self) -> Path:
        return Path("/dev/full")

    def __exit__(self, *_: object) -> None:
        pass
