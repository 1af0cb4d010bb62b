"""Pairs of CSV files as nobody would wish for, seeded: odd values and writings, and now and then no table at all."""
# ruff: noqa: RUF001 - letters that look like others are what it is about

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import BinaryIO

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds

Row = list[str | None]

NUMBERS = """
0 -0 -0.0 0.0 0e7 1 1.0 01 +1 1e0 0.1e1 -1 --1 - . -. .5 5. -.5 0.5 0.50 5e-1 0x1 1_000 1e5 100000 1e+5 1E5 1e05 1e 1e+
e1 1e400 10e399 1e-400 1e9999 1e10000 1e-9999 9007199254740993 9007199254740992 9223372036854775808 0.1 0.10 0.15 0.2
18446744073709551616 1.2.3 1-2 007 nan NaN -nan inf -inf Infinity -Infinity infinit infinityy ½ ² ١ 1٫5 −1 1,000 1.50e3
1500 1500.000 0.000000000000000000000000000000000000001 1e-39 1e-40 1e-41 1e39 1e40 1e41
""".split()  # noqa: SIM905 - as a list it would be four times as long
LONG_NUMBERS = [
    digits
    for length in (19, 20, 38, 39, 40, 41, 60)
    for digits in ("1" * length, "1" + "0" * (length - 1), "0." + "0" * (length - 2) + "1", "1" * length + ".0")
]
MOMENTS = [
    day + time
    for day in ("2026-01-05", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "0001-01-01", "9999-12-31")
    for time in (
        "", " 00:00", " 00:00:00", "T00:00:00Z", "t00:00:00z", " 00:00:00 UTC", " 00:00:00utc", "T01:30:00+01:30",
        "T01:30:00+0130", "T01:00:00+01", " 22:00:00-02:00", " 23:59:59.999", " 00:00:00.000", " 00:00:00.1",
        " 00:00:00.100000000000", " 24:00:00", " 12:60", " 12:30:60", " 12:30:15 +25:00", " 12:30-00:00", " 1:30",
    )
] + ["2026-1-5", "20260105", "2026-13-01", "2026-00-01", "2026-01-32", "2026-01-05 ", "2026-01-05  00:00", "0000-01-01",
     "２０２６-01-05"]  # fmt: skip
WORDS = ["true", "TRUE", "tRuE", "false", "False", "truE ", "NULL", "null", "\\N", "nil", "t", "f"]
TEXTS = [
    "", " ", "  ", "a", "A", " a", "a ", "\ta", "b", "Straße", "STRASSE", "strasse", "ﬁ", "fi", "FI", "İ", "i̇", "ı",
    "I", "i", "ǅ", "ς", "Σ", "σ", "é", "É", "e\u0301", "\u00a0", "\u00a0a", "\u2028", "a\u2028", "\x85", "a\x85",
    "\x0b",
    "\x1c", "\x1fa", "\x00", "a\x00", "a\x00b", "\ufeff", "\ufeffa", "🐘", "\U0010ffff", "\x7f", "'", '"', '""', 'a"b',
    '"a"', 'a"', "a\nb", "\n", "\r", "\r\n", "a\r\nb", "a\rb", "\n\n\n", "x,y", "x;y", "x\ty", "x|y", "\x01", "ʼn", "ꭰ",
    '\ufeff"a', "Ᏸ", "K", "k", "Å", "å", "ẞ", "ß", "ss", "\u0345", "ι",
]  # fmt: skip
DELIMITERS = [*",,,\t\t;|\x01 :", "§", "🐘", "a", "1", "\x00", "'"]
EDITS = [*"0123456789..--++eEeE :TtZz\t", "\u00a0", "a", "n", "I", "f", "y", "ß", "İ", "K", "١", "\r", "\x00"]
STRIPES = [",", "\n", '"', "x", "é", "\r\n", " "]


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    content: bytes
    delimiter: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Two files and what is asked of them; `reading` says how their streams give them away.

    The thresholds are such that files of a few lines have borders of blocks too.
    """

    seed: int
    left: Written
    right: Written
    mapping: tuple[ColumnMapping, ...]
    options: ReconciliationOptions
    thresholds: Thresholds
    sample_limit: int
    reading: str


def trial(seed: int) -> Trial:
    random = Random(seed)  # noqa: S311 - it must be repeatable
    width = random.choice([1, 2, 2, 3, 3, 4, 6])
    pools = [_pool(random) for _ in range(width)]
    lefts = [[pool() for pool in pools] for _ in range(_size(random))]
    rights = _altered(random, lefts, pools)
    lefts = _repeated(random, lefts)
    keys = _keys(random, width)
    order = random.sample(range(width), width) if random.random() < 0.3 else list(range(width))
    names = [random.choice(["c", "C", "Spalte ", 'q"', "ü"]) + str(place) for place in range(width)]
    extra = random.random() < 0.2
    renamed = names if random.random() < 0.6 else [f"d{place}" for place in range(width)]
    right_names = [renamed[place] for place in order]
    rights = [[row[place] for place in order] for row in rights]
    if extra:
        right_names.insert(0, "unmapped")
        for row in rights:
            row.insert(0, random.choice(TEXTS))
    mapped = [place for place in range(width) if random.random() < 0.9 or place in keys] or [0]
    random.shuffle(mapped)
    same = random.random() < 0.5
    left_write = _writer(random)
    right_write = left_write if same else _writer(random)
    left, right = left_write([list(names), *lefts]), right_write([list(right_names), *rights])
    left, right = (_damaged(random, side) if random.random() < 0.08 else side for side in (left, right))
    largest = max(len(left.content), len(right.content))
    return Trial(
        seed=seed,
        left=left,
        right=right,
        mapping=tuple(ColumnMapping(left=names[p], right=renamed[p], key=p in keys) for p in mapped),
        options=_options(random),
        thresholds=Thresholds(
            false_positive_rate=random.choice([0.01, 0.5, 1e-6]),
            estimated_rows=random.choice([1, 1, 5000]),
            partition_bytes=random.choice([1, 300, 20_000, 4 << 20]),
            block_bytes=random.choice([16, 64, 300, 4096, 512 << 10]),
            block_rows=random.choice([1, 3, 64, 1 << 16]),
            residue_rows=random.choice([1, 20, 1000]),
            ordered_rows=random.choice([0, 1, 3, 64]),
        ),
        sample_limit=random.choice([0, 1, 5, 100]),
        reading=random.choice(["file", "file", "whole", "drips", "bytes" if largest < 20_000 else "drips"]),
    )


class Drips(io.RawIOBase):
    """A stream that gives at most so much at a time, as a socket or a pipe may."""

    def __init__(self, content: bytes, sizes: Callable[[], int]) -> None:
        self._content = io.BytesIO(content)
        self._sizes = sizes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # the base takes any buffer
        piece = self._content.read(min(len(buffer), self._sizes()))
        buffer[: len(piece)] = piece
        return len(piece)


def stream(content: bytes, reading: str) -> BinaryIO:
    """All of `reading` but files."""
    match reading:
        case "bytes":
            return Drips(content, lambda: 1)  # type: ignore[return-value] # a raw stream reads like a binary one
        case "drips":
            random = Random(len(content))  # noqa: S311 - it must be repeatable
            return Drips(content, lambda: random.choice([1, 7, 100, 4096, 70_000]))  # type: ignore[return-value] # likewise
        case _:
            return io.BytesIO(content)


def _size(random: Random) -> int:
    return random.choice([0, 1, 2, 3, 8, 30, 100, 100, 400, 1500, random.randrange(6000)])


def _keys(random: Random, width: int) -> set[int]:
    return set(random.sample(range(width), random.choice([0, 0, 1, 1, 1, min(2, width), width])))


def _pool(random: Random) -> Callable[[], str | None]:
    """A way to draw cells of one column."""
    kind = random.choice(
        ["id", "id", "few", "number", "moment", "text", "mixed", "near", "decimal", "same", "huge", "wide"]
    )
    awkward = [*NUMBERS, *LONG_NUMBERS, *MOMENTS, *WORDS, *TEXTS, None]
    odd = random.choice([0.0, 0.01, 0.3])
    counted = iter(range(10**9))
    values: dict[str, Callable[[], str | None]] = {
        "id": lambda: str(next(counted)),
        "few": lambda: random.choice(["a", "b", "c", None, "1", "1.0"]),
        "number": lambda: random.choice(NUMBERS + LONG_NUMBERS),
        "moment": lambda: random.choice(MOMENTS),
        "text": lambda: random.choice([*TEXTS, None]),
        "mixed": lambda: random.choice(awkward),
        "near": lambda: _edited(random, random.choice(awkward) or ""),
        "decimal": lambda: f"{random.randrange(-2000, 2000) / 100:.2f}",
        "same": lambda: "always the same",
        "huge": lambda: (
            random.choice(STRIPES) * random.choice([0, 1, 10, 1000, 1000, random.randrange(9000)])
            if random.random() < 0.02
            else "small"
        ),
        "wide": lambda: "word " + str(random.randrange(50)) * random.randrange(20),
    }
    draw = values[kind]
    return lambda: random.choice(awkward) if random.random() < odd else draw()


def _edited(random: Random, text: str) -> str:
    """Nearly a value of some type."""
    letters = list(text)
    for _ in range(random.choice([1, 1, 2, 3])):
        place = random.randrange(len(letters) + 1)
        letters[place : place + random.choice([0, 1, 1])] = random.choice([[], [random.choice(EDITS)]])
    return "".join(letters)


def _altered(random: Random, lefts: Sequence[Row], pools: Sequence[Callable[[], str | None]]) -> list[Row]:
    """The other side: some rows changed, written otherwise, gone, new, repeated, moved."""
    changed, spelt, gone, new = (random.choice([0, 0, 0.01, 0.2, 1]) for _ in range(4))
    rows: list[Row] = []
    for left in lefts:
        row = list(left)
        if random.random() < changed:
            for place in {random.randrange(len(row)), random.randrange(len(row))}:
                row[place] = pools[place]()
        if random.random() < spelt:
            row = [_respelt(random, cell) for cell in row]
        if random.random() >= gone:
            rows.append(row)
        if random.random() < new:
            rows.append([pool() for pool in pools])
    return _moved(random, _repeated(random, rows))


def _moved(random: Random, rows: list[Row]) -> list[Row]:
    match random.choice(["kept", "kept", "shuffled", "reversed", "rotated", "swapped"]):
        case "shuffled":
            random.shuffle(rows)
        case "reversed":
            rows.reverse()
        case "rotated" if rows:
            middle = random.randrange(len(rows))
            rows = rows[middle:] + rows[:middle]
        case "swapped" if rows:
            one, other = random.randrange(len(rows)), random.randrange(len(rows))
            rows[one], rows[other] = rows[other], rows[one]
    return rows


def _repeated(random: Random, rows: list[Row]) -> list[Row]:
    share = random.choice([0, 0, 0, 0.01, 0.5])
    return [row for row in rows for _ in range(random.choice([2, 2, 3, 40]) if random.random() < share else 1)]


def _respelt(random: Random, cell: str | None) -> str | None:
    """The same value in other words, mostly."""
    if cell is None:
        return random.choice([None, None, ""])
    if cell.isascii() and cell.isdigit():
        return random.choice([cell, f"{cell}.0", f"{cell}e0", f"{cell}0e-1"])
    if "." in cell:
        return random.choice([cell, f"{cell}0"])
    return random.choice([cell, cell, cell.upper(), cell.casefold(), f" {cell}", f"{cell}\u2003"])


def _writer(random: Random) -> Callable[[Sequence[Row]], Written]:
    delimiter = random.choice(DELIMITERS)
    ends = random.choice([["\n"], ["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"]])
    quoted = random.choice([0, 0, 0, 0.02, 0.5, 1])
    careless = random.random() < 0.03  # quotes nothing of itself
    mark = random.choice([b"", b"", b"\xef\xbb\xbf"])
    blank = random.choice([0, 0, 0, 0.05])
    ended = random.random() < 0.8

    def cell(text: str | None) -> str:
        if text is None:
            return ""
        needed = not text or text[0] == '"' or text[-1] == "\r" or delimiter in text or "\n" in text
        if (needed and not careless) or random.random() < quoted:
            return '"' + text.replace('"', '""') + '"'
        return text

    def write(rows: Sequence[Row]) -> Written:
        text = ""
        lines: list[str] = []
        for row in rows:
            lines.append(delimiter.join(map(cell, row)) + random.choice(ends))
            if random.random() < blank:
                lines.append(random.choice(ends))
        text = "".join(lines)
        if not ended:
            text = text.removesuffix("\n")
        return Written(content=mark + text.encode(), delimiter=delimiter)

    return write


def _damaged(random: Random, side: Written) -> Written:
    """What a broken program, disk or transfer leaves behind."""
    content = side.content
    place = random.randrange(len(content) + 1)
    delimiter = side.delimiter.encode()
    match random.choice(["cut", "flip", "insert", "insert", "insert", "long", "tiny", "utf-16"]):
        case "cut":
            content = content[:place]
        case "flip" if content:
            place %= len(content)
            content = content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]
        case "insert":
            piece = random.choice(
                [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b'"', b"\n", b"\r", b"\x00", delimiter]
            )
            content = content[:place] + piece + content[place:]
        case "long":
            content += b"x" * random.choice([10, 100_000])
        case "tiny":
            content = random.choice([b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb", b"\r\n", b"\n\n\n", b'""', b'"'])
        case "utf-16":
            content = content.decode(errors="replace").encode("utf-16")
    return Written(content=content, delimiter=side.delimiter)


def _options(random: Random) -> ReconciliationOptions:
    return ReconciliationOptions(
        absolute_tolerance=random.choice([0.0, 0.0, 0.0, 0.0, 0.05, 1.0]),
        relative_tolerance=random.choice([0.0, 0.0, 0.0, 0.0, 0.01]),
        ignore_case=random.random() < 0.3,
        trim=random.random() < 0.3,
        empty_is_null=random.random() < 0.3,
    )
