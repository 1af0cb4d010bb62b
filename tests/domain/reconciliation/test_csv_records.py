"""Reading CSV: what comes out cell by cell, and what is refused with its line."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidError
from app.domain.reconciliation import records as records_module
from app.domain.reconciliation.records import MalformedError, Records, Side


def read(content: bytes | str, delimiter: str = ",") -> tuple[tuple[str | None, ...], list[list[str | None]]]:
    data = content.encode() if isinstance(content, str) else content
    side = Side(open=lambda: io.BytesIO(data), size_bytes=len(data), delimiter=delimiter, name="Left")
    with Records(side, lambda _: None) as records:
        return records.header, list(records)


def test_null_is_told_apart_from_the_empty_string() -> None:
    assert read('a,b,c\n,"",x\n"",,\n')[1] == [[None, "", "x"], ["", None, None]]


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks() -> None:
    content = 'a,b\n"x,y","say ""hi"""\n"two\nlines","cr\r\nlf"\nlast,"""\n"""\n'
    assert read(content)[1] == [["x,y", 'say "hi"'], ["two\nlines", "cr\r\nlf"], ["last", '"\n"']]


def test_tabs_and_control_characters_delimit() -> None:
    assert read("a\tb\n1,5\t2\n", "\t")[1] == [["1,5", "2"]]
    assert read('a\x01b\n"x\x01y"\x01\n', "\x01")[1] == [["x\x01y", None]]


def test_a_quote_within_an_unquoted_cell_is_text() -> None:
    assert read('a,b\n5" pipe,x"y"\n')[1] == [['5" pipe', 'x"y"']]


@pytest.mark.parametrize("content", ['a,b\r\n1,\r\n"x",2\r\n', "\ufeffa,b\n1,\nx,2", '\ufeff"a",b\n1,\n"x",2\n\n\n'])
def test_byte_order_mark_crlf_blank_lines_and_a_last_line_without_its_end(content: str) -> None:
    assert read(content) == (("a", "b"), [["1", None], ["x", "2"]])


def test_a_blank_line_is_a_null_where_there_is_one_column() -> None:
    assert read("a\n\n1\n\n")[1] == [[None], ["1"], [None]]
    assert read("a\r\n\r\n1\r\n")[1] == [[None], ["1"]]


def test_other_line_separators_are_text() -> None:
    assert read("a,b\nx\u2028y\x0b\x0c,\x85\rz\n")[1] == [["x\u2028y\x0b\x0c", "\x85\rz"]]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "empty"),
        ("a,b\n1,2\n1\n", 3, "1 cell where the header has 2"),
        ('a,b\n"1\n1",2\n\n1,2,3\n', 5, "3 cells where the header has 2"),
        ('a,b\n1,2\n"x,2\n1,2\n', 3, "not closed"),
        ('a,b\n"x"y,2\n', 2, "after the closing quote"),
        (b"a,b\n1,2\n1,\xff\n", 3, "0xff is not UTF-8"),
        (b'a,b\n"\n\n",2\n"\xe9",\n', 5, "0xe9 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_with_its_side_and_line(content: bytes | str, line: int, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        read(content)
    assert (caught.value.side, caught.value.line) == ("Left", line)
    assert caught.value.message.startswith(f"Left, line {line}: ")


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r"])
def test_a_delimiter_that_cannot_be_is_refused(delimiter: str) -> None:
    with pytest.raises(InvalidError, match="delimiter"):
        read("a\n", delimiter)


@pytest.mark.parametrize("start", [b'a\n"', b"a\n"])
def test_an_endless_record_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(records_module, "LONGEST_RECORD_BYTES", 1000)
    monkeypatch.setattr(records_module, "CHUNK_BYTES", 100)
    stream = io.BytesIO(start + (b"x\n" if b'"' in start else b"xx") * 100_000)
    side = Side(open=lambda: stream, size_bytes=1, delimiter=",", name="Left")
    heard: list[int] = []
    with Records(side, heard.append) as records, pytest.raises(MalformedError, match="longer than"):
        list(records)
    assert sum(heard) < 3000


def test_the_stream_is_closed_also_when_the_header_is_refused() -> None:
    stream = io.BytesIO(b"\xff\n")
    with pytest.raises(MalformedError):
        Records(Side(open=lambda: stream, size_bytes=2, delimiter=",", name="Left"), lambda _: None)
    assert stream.closed


cell = st.one_of(st.none(), st.text(alphabet='ab",\n\r\té ', max_size=6))


@given(
    rows=st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1)),
    chunk=st.integers(1, 7),
    line_break=st.sampled_from(["\n", "\r\n"]),
)
def test_what_was_written_is_read_wherever_the_chunks_are_cut(rows, chunk: int, line_break: str) -> None:
    def quoted(text: str | None) -> str:
        return "" if text is None else '"' + text.replace('"', '""') + '"'

    header = [f"é{place}" for place in range(len(rows[0]))]
    content = "".join(",".join(map(quoted, row)) + line_break for row in [header, *rows]).encode()
    side = Side(open=lambda: io.BytesIO(content), size_bytes=len(content), delimiter=",", name="Left")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records_module, "CHUNK_BYTES", chunk)
        heard = []
        with Records(side, heard.append) as records:
            assert list(records.header) == header
            assert list(records) == rows
    assert sum(heard) == len(content)
