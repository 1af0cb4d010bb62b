"""The job gives the answer of the exact method, samples, warnings and lines of the table included."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.domain.errors import DomainError
from app.domain.outputs import OutputColumn
from app.domain.reconciliation.options import PassRule, ReconciliationOptions
from app.engines.comparing import job
from app.engines.comparing.question import ComparedOutput
from app.outputs.parquet import write_csv, write_parquet
from tests.domain.reconciliation.reconciliation_oracle import NUMBERS, OTHERS, TEXTS
from tests.engines.comparing.tables import Case, here, question, there
from tests.support import comparing_job

FEW = [None, "", "a", "0", "0.1", "0.15", "0.2", "1", "1.0"]
MANY = [*FEW, None, *NUMBERS, *OTHERS, *TEXTS]
LINES = [text for text in MANY if not text or "\n" not in text]  # records of one line: the way of most files

Row = tuple[str | None, ...]


def written(rows: Sequence[Row], *, delimiter: str = ",", line_break: str = "\n", quote_all: bool = False) -> bytes:
    def cell(text: str | None) -> str:
        if text is None:
            return ""
        if quote_all or not text or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text

    return "".join(delimiter.join(map(cell, row)) + line_break for row in rows).encode()


def awkward(
    seed: int, names: Sequence[str], *, many: Sequence[str | None], keys: Sequence[str | None], **values: object
) -> Case:
    """Two tables that share most of their rows, some of them many times, written in two ways."""
    chance = random.Random(seed)  # noqa: S311 - the same tables each time

    def row(pool: Sequence[str | None]) -> Row:
        return tuple(chance.choice(keys if name.startswith("k") else pool) for name in names)

    shared = [row(many) for _ in range(120)] + [row(FEW) for _ in range(60)]
    left = shared + [row(FEW) for _ in range(40)] + [row(many) for _ in range(20)] + shared[:3] * 40
    right = shared + [row(FEW) for _ in range(40)] + [row(many) for _ in range(20)] + shared[2:4] * 30
    chance.shuffle(left)
    chance.shuffle(right)
    return Case(
        names=names,
        left=b"\xef\xbb\xbf" + written([tuple(names), *left], line_break="\r\n", quote_all=True),
        right=written([tuple(names), *right], delimiter="\t").removesuffix(b"\n"),
        delimiters=(",", "\t"),
        sample_limit=20,
        **values,
    )


TOLERANT = ReconciliationOptions(absolute_tolerance=0.05, relative_tolerance=0.01)
LENIENT = replace(TOLERANT, trim=True, ignore_case=True, empty_is_null=True)
NEITHER = ReconciliationOptions(pass_when=PassRule(max_differing_percent=99))
CASES = {
    "composite keys": awkward(
        1, ("k1", "k2", "a", "b"), many=MANY, keys=["1", "1.0", "2", None, "x\ny", "TRUE", "true"]
    ),
    "no key": awkward(2, ("a", "b"), many=LINES, keys=[], options=NEITHER),
    "no key, tolerance": awkward(3, ("a", "b"), many=LINES, keys=[], options=TOLERANT),
    "keys, tolerance, lenient": awkward(4, ("a", "k", "b"), many=LINES, keys=LINES, options=LENIENT),
}


@pytest.mark.parametrize("name", CASES)
def test_awkward_tables_have_the_answer_of_the_exact_method(name, spark, tmp_path):
    expected, lines = here(CASES[name], tmp_path)
    result, found = there(CASES[name], tmp_path, spark)
    assert result == expected
    assert found == lines
    assert expected.differing_row_count > 20


WRONG = {
    "ragged, below a record of two lines": (b"k,a\n1,2\n", b'k,a\n"1\n",2\n\n3\n'),
    "text behind a quote": (b'k,a\n1,"x"y\n', b"k,a\n"),
    "an open quote": (b"k,a\n1,2\n", b'k,a\n1,"2\n3,4\n'),
    "not UTF-8": (b"k,a\n1,2\n3,\xff\n", b"k,a\n1,2\n"),
    "empty": (b"", b"k,a\n"),
    "a blank line alone": (b"\n", b"k,a\n"),
    "a mark alone": (b"\xef\xbb\xbf", b"k,a\n"),
    "another column": (b"k,b\n", b"k,a\n"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_table_is_told_in_the_same_words(name, spark, tmp_path):
    case = Case(left=WRONG[name][0], right=WRONG[name][1], names=("k", "a"))
    with pytest.raises(DomainError) as expected:
        here(case, tmp_path)
    with pytest.raises(DomainError) as told:
        there(case, tmp_path, spark)
    assert (told.value.message, told.value.code) == (expected.value.message, expected.value.code)


ALSO_WRONG = {
    "ragged, above an open quote": (b"k,a\n1,2\n", b'k,a\n1,2,3\n1,"2\n'),
    "ragged on either side": (b"k,a\n1,2\n3\n", b"k,a\n1\n"),
    "an open quote in the header": (b'k,"a\n1,2\n', b"k,a\n"),
}


@pytest.mark.parametrize("name", WRONG | ALSO_WRONG)
def test_the_functions_of_the_job_tell_it_too(name, tmp_path):
    left, right = (WRONG | ALSO_WRONG)[name]
    case = Case(left=left, right=right, names=("k", "a"))
    with pytest.raises(DomainError) as expected:
        here(case, tmp_path)
    with pytest.raises(DomainError) as told:
        comparing_job.compare(left, right, question(case, tmp_path), chance=random.Random(0))  # noqa: S311 - likewise
    assert (told.value.message, told.value.code) == (expected.value.message, expected.value.code)


def test_headers_alone_match_with_a_warning(spark, tmp_path):
    case = Case(left=b'k,"a\nb"', right=b'"a\nb",k\r\n', names=("k", "a\nb"))
    assert there(case, tmp_path, spark) == here(case, tmp_path)


def test_parquet_is_compared_as_the_text_that_it_is_shown_as(spark, tmp_path):
    columns = {
        "k": ("BIGINT", ["1", "2", "3"]),
        "b": ("BOOLEAN", ["true", "false", None]),
        "f": ("DOUBLE", ["0.1", "1.5", None]),
        "d": ("DECIMAL(5,2)", ["1.50", "0.10", None]),
        "t": ("TIMESTAMP", ["2026-01-05 00:00:00", "2026-01-05 01:02:03.45", None]),
        "z": ("TIMESTAMP WITH TIME ZONE", ["2026-01-05 00:00:00+01:00", None, "2026-01-05 01:02:03.45Z"]),
        "x": ("BINARY", ["AAEC", "", None]),
        "s": ("STRING", ["", "a,b\n", None]),
    }
    rows = list(zip(*(texts for _, texts in columns.values()), strict=True))
    left, parquet, shown = tmp_path / "typed.csv", tmp_path / "left.parquet", tmp_path / "shown.csv"
    left.write_bytes(written([tuple(columns), *rows]))
    kinds = [OutputColumn(name=name, type=kind) for name, (kind, _) in columns.items()]
    write_parquet(left, parquet, columns=kinds, delimiter=",")
    write_csv(parquet, shown, delimiter=",")
    right = written([tuple(columns), *rows[:2], ("3", *["other"] * 7)])
    case = Case(left=shown.read_bytes(), right=right, names=tuple(columns))
    expected, _ = here(case, tmp_path)
    wanted = question(case, tmp_path)
    as_parquet = ComparedOutput(
        uri=parquet.as_uri(), size_bytes=1, delimiter=",", name=wanted.left.name, labels=tuple(columns)
    )
    compared = job.compare(spark, replace(wanted, left=as_parquet))
    compared.release()
    assert compared.result == expected
