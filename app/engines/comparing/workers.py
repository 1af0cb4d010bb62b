"""What Spark's workers do with records and groups; they have the question as text, and keep the tools made of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.domain.reconciliation.merging import (
    DifferenceLines,
    DistinctRow,
    Outcome,
    Settlement,
    order_places,
    sort_key,
)
from app.domain.reconciliation.records import MalformedError
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.rows import RowMaker, key_places, unpack
from app.domain.reconciliation.tally import Occurrence
from app.engines.comparing.question import Question
from app.engines.comparing.records import RecordReader, passage, problem_of

ROW = "struct<where:binary,canonical:binary,written:binary,problem:string,line:int>"
OUTCOMES = (
    "array<struct<kind:string,rows:bigint,left_id:bigint,left_cells:binary,left_written:binary,"
    "right_id:bigint,right_cells:binary,right_written:binary,left_count:bigint,right_count:bigint,"
    "places:array<int>,apart:array<double>,sort:binary>>"
)


# How rows are made of a side's records: the question, the places of the mapped columns, the number of all columns, the
# delimiter, and the header as it stands in the file, or None where records are cells already.
Making = tuple[str, tuple[int, ...], int, str, bytes | None]


def change(delimiter: str, line: Any) -> int:
    """How a line changes whether a quoted cell is open."""
    return passage(bytes(line), delimiter)


def joined(pieces: Any) -> bytes:
    """A record of several lines."""
    return b"\n".join(bytes(piece[1]) for piece in pieces)


def made(making: Making, record: Any) -> tuple[Any, ...] | None:
    """The columns of ROW; None for a blank line."""
    maker, reader = _makers(making)
    if reader is None:
        return (*maker.row(record), None, None)
    try:
        cells = reader.cells(bytes(record))
    except MalformedError as error:
        return None, None, None, problem_of(error), error.line
    return None if cells is None else (*maker.row(cells), None, None)


def settled(question: str, rest: Any, left_count: int, right_count: int) -> list[tuple[Any, ...]]:
    """The columns of OUTCOMES for the rest of a group."""
    tools = _tools(question)
    rows = [
        DistinctRow(
            left_rows=row.left_rows,
            right_rows=row.right_rows,
            left=occurrence(row.left_first, bytes(row.canonical)),
            right=occurrence(row.right_first, bytes(row.canonical)),
        )
        for row in rest
    ]
    outcomes = tools.settlement.outcomes(rows, left_count=left_count, right_count=right_count)
    return [
        (
            outcome.kind.value,
            outcome.rows,
            *_columns(outcome.left),
            *_columns(outcome.right),
            outcome.left_count,
            outcome.right_count,
            list(outcome.places),
            list(outcome.apart),
            _sort(outcome, tools.order),
        )
        for outcome in outcomes
    ]


def line_of(question: str, outcome: Any) -> bytes:
    """The line of the table of all differences."""
    return _tools(question).lines.line(outcome_of(outcome))


def key_order(key: Any) -> bytes:
    """Bytes that ascend as the keys do."""
    cells = unpack(bytes(key))
    return sort_key([cells], range(len(cells)))


@dataclass(frozen=True, kw_only=True)
class _Tools:
    settlement: Settlement
    lines: DifferenceLines
    order: tuple[int, ...]


@lru_cache(maxsize=4)
def _tools(text: str) -> _Tools:
    question = Question.from_document(json.loads(text))
    return _Tools(
        settlement=Settlement(mapping=question.mapping, options=question.options),
        lines=DifferenceLines(mapping=question.mapping),
        order=order_places(question.mapping),
    )


@lru_cache(maxsize=4)
def _makers(making: Making) -> tuple[RowMaker, RecordReader | None]:
    text, places, width, delimiter, header = making
    question = Question.from_document(json.loads(text))
    maker = RowMaker(places=places, keys=key_places(question.mapping), options=question.options)
    if header is None:
        return maker, None
    return maker, RecordReader(header=header, width=width, delimiter=delimiter)


def _sort(outcome: Outcome, order: Sequence[int]) -> bytes:
    if outcome.kind is DifferenceKind.COMMON:
        return b""
    return sort_key((unpack(side.canonical) for side in (outcome.left, outcome.right) if side is not None), order)


def occurrence(first: Any, canonical: bytes) -> Occurrence | None:
    if first is None:
        return None
    return Occurrence(first.id, canonical, None if first.written is None else bytes(first.written))


def _columns(side: Occurrence | None) -> tuple[int | None, bytes | None, bytes | None]:
    return (None, None, None) if side is None else (side.number, side.canonical, side.written)


def outcome_of(row: Any) -> Outcome:
    """Of a row with the columns of an outcome."""

    def side(number: int | None, cells: bytes | None, written: bytes | None) -> Occurrence | None:
        if number is None or cells is None:
            return None
        return Occurrence(number, bytes(cells), None if written is None else bytes(written))

    return Outcome(
        kind=DifferenceKind(row.kind),
        rows=row.rows,
        left=side(row.left_id, row.left_cells, row.left_written),
        right=side(row.right_id, row.right_cells, row.right_written),
        left_count=row.left_count,
        right_count=row.right_count,
        places=tuple(row.places),
        apart=tuple(row.apart),
    )
