"""The page: facts put in order here, put into words and shape by `page.html`, and dressed by `page.css`."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.report.cells import Pieces, changed_pieces, pieces
from app.domain.reconciliation.result import ColumnDifference, DifferenceKind, ReconciliationResult, RowDifference
from app.domain.reconciliation.wording import delimiter_told, duration_told, percent_told, size_told

MOST_COLUMNS = 40  # of a sample
_FOLDER = Path(__file__).parent
_KINDS = (
    (DifferenceKind.CHANGED, "Changed rows", "changed"),
    (DifferenceKind.LEFT_ONLY, "Rows only on the left", "left-only"),
    (DifferenceKind.RIGHT_ONLY, "Rows only on the right", "right-only"),
    (DifferenceKind.COMMON, "Rows that agree", "common"),
)
_FEW_EQUAL_COLUMNS = 6
_WIDEST_LINE = 36  # characters of a cell that stay together
_THINNEST = 6  # of a thousand: what is there at all is seen in the bar


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSide:
    """Where a side is from; `detail` says more than its name where there is more."""

    name: str
    size_bytes: int | None
    delimiter: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    left: ReportSide
    right: ReportSide
    result: ReconciliationResult
    options: ReconciliationOptions
    compared_at: datetime
    duration: timedelta | None
    version: str
    title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A part of the bar: its place in a thousand, and its row of the legend."""

    name: str
    look: str
    rows: int
    percent: str
    start: float
    width: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCell:
    left: Pieces
    right: Pieces | None = None  # where it is another

    @property
    def wide(self) -> bool:
        """Whether it may be broken into lines."""
        return sum(len(piece.text) for piece in (*self.left, *(self.right or ()))) > _WIDEST_LINE


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    title: str
    look: str
    listed: int
    total: int
    columns: tuple[ColumnMapping, ...]
    hidden_columns: int
    counted: bool  # whether a line stands for several rows anywhere
    rows: tuple[tuple[int, tuple[SampleCell, ...]], ...]


def report_page(report: Report) -> str:
    """The whole file."""
    result = report.result
    compared = result.common_row_count + result.differing_row_count
    shown = _shown_columns(result)
    template = _environment().get_template("page.html")
    return template.render(
        report=report,
        result=result,
        policy=report_policy(),
        style=_style(),
        compared=compared,
        keyed=any(pair.key for pair in result.mapping),
        shares=_shares(result, compared),
        columns=shown,
        equal_columns=[column for column in result.columns if column not in shown],
        samples=list(_samples(result)),
        exactness=_exactness(result),
        rules=list(_rules(report.options)),
    )


def report_policy() -> str:
    """What the page may do: nothing but wear its own style."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _style() -> str:
    return (_FOLDER / "page.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size_told,
        "duration": duration_told,
        "delimiter": delimiter_told,
    }
    environment.globals["percent"] = percent_told
    return environment


def _shares(result: ReconciliationResult, compared: int) -> list[Share]:
    parts = [
        ("common", "common", result.common_row_count),
        ("changed", "changed", result.changed_row_count),
        ("only on the left", "left-only", result.left_only_row_count),
        ("only on the right", "right-only", result.right_only_row_count),
    ]
    if not any(pair.key for pair in result.mapping):
        del parts[1]  # there is no such thing without keys
    widths = [max(rows * 1000 / compared, _THINNEST) if rows else 0.0 for _, _, rows in parts]
    scale = 1000 / sum(widths) if any(widths) else 0.0
    shares, start = [], 0.0
    for (name, look, rows), wide in zip(parts, widths, strict=True):
        width = round(wide * scale, 2)
        percent = percent_told(rows, compared)
        shares.append(Share(name=name, look=look, rows=rows, percent=percent, start=round(start, 2), width=width))
        start += width
    return shares


def _shown_columns(result: ReconciliationResult) -> list[ColumnDifference]:
    """Those that differ most first; of the others all where they are few, else none."""
    ordered = sorted(result.columns, key=lambda column: -column.differing_row_count)
    differing = [column for column in ordered if column.differing_row_count]
    return ordered if len(ordered) - len(differing) <= _FEW_EQUAL_COLUMNS else differing


def _samples(result: ReconciliationResult) -> Iterator[Sample]:
    totals = {
        DifferenceKind.CHANGED: result.changed_row_count,
        DifferenceKind.LEFT_ONLY: result.left_only_row_count,
        DifferenceKind.RIGHT_ONLY: result.right_only_row_count,
        DifferenceKind.COMMON: result.common_row_count,
    }
    for kind, title, look in _KINDS:
        rows = result.samples.get(kind, ())
        if not rows:
            continue
        places = _places(result.mapping, rows)
        shown = places[:MOST_COLUMNS]
        yield Sample(
            title=title,
            look=look,
            listed=sum(row.rows for row in rows),
            total=totals[kind],
            columns=tuple(result.mapping[place] for place in shown),
            hidden_columns=len(places) - len(shown),
            counted=any(row.rows > 1 for row in rows),
            rows=tuple(
                (row.rows, tuple(_cell(row, place, result.mapping[place].left) for place in shown)) for row in rows
            ),
        )


def _places(mapping: Sequence[ColumnMapping], rows: Sequence[RowDifference]) -> list[int]:
    """Keys first, then the columns that differ in these rows, then the others."""
    differing = {name for row in rows for name in row.changed_columns}
    return sorted(range(len(mapping)), key=lambda place: (not mapping[place].key, mapping[place].left not in differing))


def _cell(row: RowDifference, place: int, name: str) -> SampleCell:
    if row.left is not None and row.right is not None and name in row.changed_columns:
        left, right = changed_pieces(row.left[place], row.right[place])
        return SampleCell(left=left, right=right)
    cells = row.left if row.left is not None else row.right
    return SampleCell(left=() if cells is None else pieces(cells[place]))


def _exactness(result: ReconciliationResult) -> str:
    if result.false_positive_rate is not None:
        return (
            "This is an estimate, as was asked for: Bloom filters told which rows the other side surely lacks, and "
            f"nothing was verified. Up to {result.false_positive_rate * 100:.3g} % of the rows that only one side has "
            "may be counted as common."
        )
    if result.method is ReconciliationMethod.BLOOM:
        return (
            "The answer is exact: rows that agree were found by hashes, which a second, independent hash confirms (to "
            "be wrong takes a coincidence of 1 in 2⁶⁴), and all others were compared cell by cell."
        )
    return "The answer is exact: every row of one side was compared with those of the other."


def _rules(options: ReconciliationOptions) -> Iterator[tuple[str, str]]:
    """What counts as equal, and how much may differ, as names and values."""
    if options.absolute_tolerance:
        yield "Numbers are equal within", f"{options.absolute_tolerance:g}"
    if options.relative_tolerance:
        yield "Numbers are equal within", f"{options.relative_tolerance * 100:g} % of the greater one"
    if options.trim:
        yield "White space around texts", "left out"
    if options.ignore_case:
        yield "Upper and lower case", "the same"
    if options.empty_is_null:
        yield "The empty text", "the same as NULL"
    rule = options.pass_when
    allowed = []
    if rule.max_differing_rows:
        allowed.append("1 row" if rule.max_differing_rows == 1 else f"{rule.max_differing_rows:,} rows")
    if rule.max_differing_percent:
        allowed.append(f"{rule.max_differing_percent:g} % of all rows")
    yield "Allowed to differ", " and ".join(allowed) or "nothing"
