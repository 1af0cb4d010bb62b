"""The CSV writer and the reader agree, and the text is RFC 4180 to everybody else."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv_format import RecordCounter, cell_text, check_delimiter, encode_cell, encode_rows
from app.domain.errors import InvalidError
from app.outputs.csv_reader import IncompleteRecordError, read_records

DELIMITERS = st.sampled_from([",", ";", "\t", "|", "\x01"])
# Many cells made of nothing but what hurts, and some of everything that UTF-8 can hold.
CELLS = st.none() | st.text(alphabet='",;|\t\n\r ab\x01é🙂', max_size=6) | st.text(st.characters(codec="utf-8"))
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))


def in_chunks(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@given(rows=TABLES, delimiter=DELIMITERS, size=st.integers(1, 40))
def test_records_are_counted_whatever_the_pieces(rows, delimiter, size):
    counter, text = RecordCounter(), encode_rows(rows, delimiter)
    for start in range(0, len(text), size):
        counter.feed(text[start : start + size])
    assert counter.count == len(rows)


@given(rows=TABLES, delimiter=DELIMITERS, size=st.integers(1, 40))
def test_what_was_written_is_read_back_whatever_the_chunks(rows, delimiter, size):
    text = encode_rows(rows, delimiter).decode()
    assert list(read_records(in_chunks(text, size), delimiter)) == rows


@given(rows=TABLES, delimiter=DELIMITERS)
def test_a_last_newline_may_be_missing(rows, delimiter):
    rows = [*rows, ["end"] * (len(rows[0]) if rows else 1)]
    text = encode_rows(rows, delimiter).decode()
    assert list(read_records([text.removesuffix("\n")], delimiter)) == rows


@given(rows=TABLES, delimiter=st.sampled_from([",", ";", "\t", "|"]))
def test_python_s_own_reader_understands_the_text(rows, delimiter):
    text = encode_rows(rows, delimiter).decode()
    theirs = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    # It takes the NULL of a single column, an empty line, for a row without cells.
    assert theirs == [[] if row == [None] else ["" if cell is None else cell for cell in row] for row in rows]


@given(text=st.text(alphabet='",\n\ra', max_size=30), size=st.integers(1, 5))
def test_any_text_is_read_or_refused_in_words_and_chunks_do_not_matter(text, size):
    def outcome(chunks):
        try:
            return list(read_records(chunks, ","))
        except InvalidError as error:
            return error.message

    assert outcome(in_chunks(text, size)) == outcome([text])


def test_null_and_the_empty_string_differ():
    assert encode_rows([[None, "", "x"]], ",") == b',"",x\n'
    assert list(read_records([',"",x\n'], ",")) == [[None, "", "x"]]


def test_lines_may_end_with_crlf():
    assert list(read_records(['a,b\r\n"1",\r\n', '"x\r\ny","2"\r\n'], ",")) == [
        ["a", "b"],
        ["1", None],
        ["x\r\ny", "2"],
    ]


def test_other_line_breaks_of_unicode_part_no_rows():
    row = ["a\u2028b", "c\x0bd", "e\x85f"]
    assert list(read_records([encode_rows([row], ",").decode()], ",")) == [row]


def test_a_quote_inside_an_unquoted_field_is_itself():
    assert list(read_records(['5" disk,x\n1,2\n'], ",")) == [['5" disk', "x"], ["1", "2"]]


def test_an_unclosed_quote_names_the_line_of_its_record():
    with pytest.raises(IncompleteRecordError, match="line 2"):
        list(read_records(['a\n1,"b\nc'], ","))


def test_text_after_a_closing_quote_is_refused():
    with pytest.raises(InvalidError, match="line 1"):
        list(read_records(['"a"b,c\n'], ","))


MIDNIGHT = datetime(2026, 1, 5)  # noqa: DTZ001 - engines give times without a zone


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (12345678901234567890, "12345678901234567890"),
        (Level.HIGH, "3"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), "NaN"),
        (MIDNIGHT, "2026-01-05 00:00:00"),
        (datetime(2026, 1, 5, 1, 2, 3, 40, tzinfo=UTC), "2026-01-05 01:02:03.000040+00:00"),
        (date(2026, 1, 5), "2026-01-05"),
        (timedelta(hours=25, seconds=1), "25:00:01"),
        (timedelta(seconds=-1, microseconds=-5), "-00:00:01.000005"),
        (b"\x00\xff", "AP8="),
        (bytearray(b"\x00\xff"), "AP8="),
        ([], "[]"),
        (
            {"n": Decimal("1.50"), "at": MIDNIGHT, "none": None},
            '{"n":1.50,"at":"2026-01-05 00:00:00","none":null}',
        ),
        ({(1, 2): 2**70, "s": "é"}, '{"[1,2]":1180591620717411303424,"s":"é"}'),
        ([b"\x00", {1}], '["AA==",[1]]'),
    ],
)
def test_a_value_has_one_text(value, text):
    assert cell_text(value) == text
    assert encode_cell(value, "\x01") in {text, '"' + text.replace('"', '""') + '"'}


def test_containers_are_quoted_where_their_json_needs_it():
    assert encode_cell([1, 2], ",") == '"[1,2]"'
    assert encode_cell({"a": "b"}, ";") == '"{""a"":""b""}"'


@pytest.mark.parametrize("text", [" a", "a ", "\n", "\r", "", "a,b", 'a"b'])
def test_what_a_reader_could_mistake_is_quoted(text):
    assert encode_cell(text, ",").startswith('"')


def test_a_lone_surrogate_does_not_stop_the_output():
    assert encode_rows([["a\ud800b", {"k": "\udfff"}]], "\t") == b'a?b\t"{""k"":""?""}"\n'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01", "^", "~"])
def test_usual_delimiters_are_taken(delimiter):
    check_delimiter(delimiter)


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "\0", "a", "7", "-", ".", ":", "/", "=", " ", "é"])
def test_a_delimiter_that_values_may_hold_unquoted_is_refused(delimiter):
    with pytest.raises(InvalidError, match="delimiter"):
        check_delimiter(delimiter)
