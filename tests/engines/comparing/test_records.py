"""Records that are found line by line, and what the job takes to a machine that has Python alone."""

import subprocess
import sys
from pathlib import Path

import pyspark
from hypothesis import given
from hypothesis import strategies as st

from app.domain.reconciliation.cells import canonical_text, order_of
from app.domain.reconciliation.merging import sort_key
from app.domain.reconciliation.records import MalformedError, Records
from app.engines.comparing.package import package
from app.engines.comparing.records import RecordReader, ends_inside, header_of, passage, read_header
from app.engines.comparing.sending import sent
from tests.domain.reconciliation.reconciliation_oracle import NUMBERS, OTHERS, TEXTS, side_of

cells = st.one_of(st.none(), st.sampled_from([*NUMBERS, *OTHERS, *TEXTS]), st.text(max_size=3))


def whole(text: bytes) -> list[list[str | None]] | None:
    """What the core reads; None for what is no table."""
    try:
        with Records(side_of(text), lambda _: None) as records:
            return [list(records.header), *records]
    except MalformedError:
        return None


def by_lines(text: bytes) -> list[list[str | None]] | None:
    lines = text.removesuffix(b"\n").split(b"\n")
    height = header_of(lines, ",")
    if not height:
        return None
    header = b"\n".join(lines[:height])
    found: list[list[str | None]] = []
    try:
        labels = read_header(side_of(header))
        reader = RecordReader(header=header, width=len(labels), delimiter=",")
        record: list[bytes] = []
        inside = False
        for line in lines[height:]:
            record.append(line)
            inside = bool(passage(line, ",") >> inside & 1)
            if not inside:
                row = reader.cells(b"\n".join(record))
                found += [] if row is None else [row]
                record = []
    except MalformedError:
        return None
    return None if inside else [list(labels), *found]


@given(st.text(alphabet='",\n\ra', max_size=40))
def test_line_by_line_the_same_records_are_found_as_in_the_whole(text):
    data = b"a,b\n" + text.encode()
    assert by_lines(data) == whole(data)


def test_a_doubled_quote_at_the_end_of_a_line_closes_nothing():
    assert ends_inside('a,"b""', ",", inside=False)
    assert not ends_inside('b"', ",", inside=True)
    assert not ends_inside('a"b', ",", inside=False)  # a quote within plain text is text


@given(st.lists(st.lists(cells.map(lambda cell: cell and canonical_text(cell)), min_size=2, max_size=2), max_size=6))
def test_sort_keys_ascend_as_the_cells_do(rows):
    by_cells = sorted(rows, key=lambda row: [order_of(cell) for cell in reversed(row)])
    assert sorted(rows, key=lambda row: sort_key([row], (1, 0))) == by_cells


def test_the_package_is_all_that_the_workers_need(tmp_path):
    archive = tmp_path / "comparison.zip"
    archive.write_bytes(package()[1])
    program = f"""
import sys
from unittest.mock import MagicMock
sys.path.insert(0, {str(archive)!r})
for name in ("pyspark", "pyspark.sql"):
    sys.modules[name] = MagicMock()
from app.engines.comparing import job
assert job.__file__.startswith({str(archive)!r})
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


def test_what_the_workers_get_brings_its_code_along_in_place_of_an_older_one(tmp_path):
    from pyspark import cloudpickle  # noqa: PLC0415 - takes a while

    sent_function = tmp_path / "function"
    sent_function.write_bytes(cloudpickle.dumps(sent("change", ",")))
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("version = 1")
    program = f"""
import pathlib, pickle, sys
sys.path += [{str(tmp_path)!r}, {str(Path(pyspark.__file__).parents[1])!r}]
import app
assert app.version == 1
function = pickle.loads(pathlib.Path({str(sent_function)!r}).read_bytes())
assert [function(line) for line in (b'a,b', b'a,"b', b'a"')] == [2, 1, 0]
assert sys.modules["app.engines.comparing.workers"].__spec__.loader.data_phantom
assert not hasattr(sys.modules["app"], "version")
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


def test_the_same_files_make_the_same_package():
    name, data = package()
    package.cache_clear()
    assert package() == (name, data)
