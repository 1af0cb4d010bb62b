"""Reading CSV as records of cells: RFC 4180 in UTF-8, NULL (unquoted empty) told apart from the empty string ("").

A record ends with LF or CRLF; a quoted cell may hold both. A quote that is not a cell's first character is plain text.
A blank line is one NULL where the table has one column, and nothing elsewhere. What cannot be read is an error that
names the side and the line, never a guess.
"""

import codecs
import io
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import BinaryIO

from app.domain.errors import InvalidError

Cells = list[str | None]

CHUNK_BYTES = 256 << 10  # some 20 ms of parsing: how soon a cancel is seen
LONGEST_RECORD_BYTES = 16 << 20  # an unclosed quote must not pull the whole file into memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One table: how to open it, its size, its delimiter (one ASCII character), and its name in messages.

    It is opened more than once, also twice at a time; what is opened can seek.
    """

    open: Callable[[], BinaryIO]
    size_bytes: int
    delimiter: str
    name: str

    def __post_init__(self) -> None:
        check_delimiter(self.delimiter, name=self.name)


def check_delimiter(delimiter: str, *, name: str) -> None:
    """Raises: InvalidError."""
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise InvalidError(
            f"{name}: the delimiter must be one ASCII character other than a quote or a line break, not {delimiter!r}.",
            path=("delimiter",),
        )


class MalformedError(InvalidError):
    """A side that is no CSV table, with the line (the header's is 1) where that shows."""

    def __init__(self, side: str, line: int, problem: str) -> None:
        super().__init__(f"{side}, line {line}: {problem}")
        self.side = side
        self.line = line


class Records(AbstractContextManager["Records"]):
    """One reading of a side: `header`, then one pass over the records; `on_bytes` hears how much was read."""

    def __init__(self, side: Side, on_bytes: Callable[[int], None]) -> None:
        self._side = side
        self._on_bytes = on_bytes
        self._line = 1  # of the next record
        self._width = 0
        delimiter = re.escape(side.delimiter)
        self._quoted = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')  # possessive: "" at the end of a text stays inside
        self._plain = re.compile(rf"[^{delimiter}\n]*")
        self._stream = side.open()
        self._records = self._read()
        try:
            self.header = self._header()
        except BaseException:
            self._stream.close()
            raise

    def __iter__(self) -> Iterator[Cells]:
        return self._records

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()

    def _header(self) -> tuple[str | None, ...]:
        for header in self._records:
            return tuple(header)
        raise self._malformed("the file is empty; a table has at least a header line.")

    def _read(self) -> Iterator[Cells]:
        rest = ""
        for block in self._blocks():
            text = rest + self._decode(block, lines_open=rest.count("\n"))
            if '"' in text:
                rest = yield from self._parse_quoted(text)
                if len(rest) > LONGEST_RECORD_BYTES:
                    raise self._malformed("a quoted cell is longer than 16 MiB: is its closing quote missing?")
            else:
                rest = ""
                yield from self._split(text)
        if rest:
            raise self._malformed("a quoted cell is not closed before the end of the file.")

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines, many at a time; the last one gets the line break that it may lack."""
        rest = b""
        first = True
        while chunk := self._stream.read(CHUNK_BYTES):
            self._on_bytes(len(chunk))
            rest += chunk
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield rest[:cut].removeprefix(codecs.BOM_UTF8) if first else rest[:cut]
                rest = rest[cut:]
                first = False
            elif len(rest) > LONGEST_RECORD_BYTES:
                raise self._malformed("a line is longer than 16 MiB: is this a CSV file?")
        if first:
            rest = rest.removeprefix(codecs.BOM_UTF8)
        if rest:
            yield rest + b"\n"

    def _decode(self, block: bytes, *, lines_open: int) -> str:
        try:
            return block.decode()
        except UnicodeDecodeError as error:
            raise self._malformed(
                f"byte 0x{block[error.start]:02x} is not UTF-8: save the file as UTF-8.",
                lines_on=lines_open + block.count(b"\n", 0, error.start),
            ) from None

    def _split(self, text: str) -> Iterator[Cells]:
        """Records of a text without any quote."""
        delimiter = self._side.delimiter
        lines = text.split("\n")
        del lines[-1]  # behind the last line break
        carriage_returns = "\r" in text
        for line in lines:
            cells: Cells = (line.removesuffix("\r") if carriage_returns else line).split(delimiter)  # type: ignore[assignment] # list is invariant; nobody else holds this one
            if "" in cells:
                cells = [cell or None for cell in cells]
            fits = len(cells) == self._width or self._fits(cells)
            self._line += 1
            if fits:
                yield cells

    def _parse_quoted(self, text: str) -> Generator[Cells, None, str]:
        """Records of a text with quotes; gives back the beginning of a record that is still open."""
        position = 0
        while position < len(text):
            quote = text.find('"', position)
            plain_end = len(text) if quote < 0 else text.rfind("\n", position, quote) + 1
            if plain_end > position:
                yield from self._split(text[position:plain_end])
                position = plain_end
                continue
            record = self._parse_record(text, position)
            if record is None:
                return text[position:]
            cells, end = record
            fits = len(cells) == self._width or self._fits(cells)
            self._line += text.count("\n", position, end)
            position = end
            if fits:
                yield cells
        return ""

    def _parse_record(self, text: str, position: int) -> tuple[Cells, int] | None:
        """One record and the place behind it; None where a quoted cell is still open at the end of the text."""
        delimiter = self._side.delimiter
        cells: Cells = []
        while True:
            if text[position] == '"':
                found = self._quoted.match(text, position)
                if found is None:
                    return None
                cells.append(found[1].replace('""', '"'))
                position = found.end()
                if text.startswith("\r\n", position):
                    position += 1
                if text[position] not in (delimiter, "\n"):
                    raise self._malformed("text after the closing quote of a cell: quotes inside are written twice.")
            else:
                end = self._plain.match(text, position).end()  # type: ignore[union-attr] # it matches the empty text too
                cell = text[position:end]
                position = end
                cells.append((cell.removesuffix("\r") if text[position] == "\n" else cell) or None)
            position += 1
            if text[position - 1] == "\n":
                return cells, position

    def _fits(self, cells: Cells) -> bool:
        """Whether a record of another width is one at all: the header sets the width, a blank line is skipped."""
        if not self._width:
            self._width = len(cells)
            return True
        if cells == [None]:
            return False
        raise self._malformed(f"{_count(len(cells))} where the header has {self._width}.")

    def _malformed(self, problem: str, *, lines_on: int = 0) -> MalformedError:
        return MalformedError(self._side.name, self._line + lines_on, problem)


def records_of(texts: Sequence[bytes], side: Side) -> Iterator[Cells]:
    """The cells of records that were read from a side before, each with the line break that ends it."""
    if not texts:
        return
    # The first of them once more, for a header; behind a mark of its own, for what begins with one is a cell's.
    content = b"".join([codecs.BOM_UTF8, texts[0], *texts])
    part = replace(side, open=lambda: io.BytesIO(content), size_bytes=len(content))
    with Records(part, lambda _: None) as records:
        yield from records


def record_of(cells: Mapping[int, str | None], width: int, side: Side) -> bytes:
    """A record as a side might have it, of these cells by their places; all others are NULL."""
    texts = (cells.get(place) for place in range(width))
    written = ("" if text is None else '"' + text.replace('"', '""') + '"' for text in texts)
    return (side.delimiter.join(written) + "\n").encode()


def _count(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"
