"""Records that are found line by line, and what the job takes to a machine that has Python alone."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pyspark
from hypothesis import given
from hypothesis import strategies as st

from app.domain.reconciliation.cells import canonical_text, order_of
from app.domain.reconciliation.merging import sort_key
from app.domain.reconciliation.records import MalformedError, Records
from app.engines.comparing.package import package
from app.engines.comparing.question import ComparedOutput
from app.engines.comparing.records import RecordReader, ends_inside
from app.engines.comparing.sending import sent
from tests.domain.reconciliation.reconciliation_oracle import NUMBERS, OTHERS, TEXTS, side_of
from tests.support.comparing_job import File

cells = st.one_of(st.none(), st.sampled_from([*NUMBERS, *OTHERS, *TEXTS]), st.text(max_size=3))


def whole(text: bytes) -> list[list[str | None]] | None:
    """What the core reads; None for what is no table."""
    try:
        with Records(side_of(text), lambda _: None) as records:
            return [list(records.header), *records]
    except MalformedError:
        return None


def by_lines(text: bytes, chance: Random) -> list[list[str | None]] | None:
    """What the workers read, each in some of the lines; None likewise."""
    output = ComparedOutput(uri="", size_bytes=len(text), delimiter=",", name="")
    try:
        file = File(text, output, chance)
        reader = RecordReader(header=file.header, width=len(file.labels), delimiter=",")
        rows = [reader.cells(record) for _, record in file.records]
    except MalformedError:
        return None
    return [list(file.labels), *(row for row in rows if row is not None)]


records = st.sampled_from(["a,b\n", 'a"a,a\n', 'a,"a\nx"\n', 'a,"\n\n\n"\n', '"\n","\n""\n"\n'])
texts = st.one_of(st.text(alphabet='",\n\ra', max_size=40), st.lists(records).map("".join))


@given(texts, st.sampled_from([b"a,b\n", b'\xef\xbb\xbf"a\n","b"\n', b""]), st.integers(0, 3))
def test_line_by_line_the_same_records_are_found_as_in_the_whole(text, header, seed):
    data = header + text.encode()
    assert by_lines(data, Random(seed)) == whole(data)  # noqa: S311 - it must be repeatable


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
