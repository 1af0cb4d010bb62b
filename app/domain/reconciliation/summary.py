"""A result in words for a terminal: what agrees, what differs, and a few of the rows that do."""

from collections.abc import Iterable, Sequence

from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult, RowDifference

_TITLES = {
    DifferenceKind.CHANGED: "Changed",
    DifferenceKind.LEFT_ONLY: "Only on the left",
    DifferenceKind.RIGHT_ONLY: "Only on the right",
}
_WIDEST_CELL = 32
_BEFORE_DIFFERENCE = 10
_MOST_COLUMNS = 8


def summary(result: ReconciliationResult, *, samples: int = 5) -> str:
    """Lines of plain text, with up to `samples` rows of each kind of difference."""
    blocks = [_verdict(result), _counts(result), *_columns(result)]
    for kind in _TITLES:
        rows = result.samples.get(kind, ())[:samples]
        if rows:
            blocks.append(_sample(result, kind, rows))
    blocks.extend(f"Note: {warning}" for warning in result.warnings)
    return "\n\n".join(blocks)


def _verdict(result: ReconciliationResult) -> str:
    differing = result.differing_row_count
    about = "" if result.exact else " (estimated)"
    if not differing:
        agree = "agrees" if result.common_row_count == 1 else "agree"
        return f"The two sides match: {_rows(result.common_row_count)} {agree}{about}."
    compared = differing + result.common_row_count
    percent = max(differing / compared * 100, 0.01)  # two digits must not round a difference to none
    verdict = "match within what the pass rule allows" if result.matched else "do not match"
    return f"The two sides {verdict}: {differing:,} of {_rows(compared)} differ ({percent:.2f} %){about}."


def _counts(result: ReconciliationResult) -> str:
    lines = [
        ("left rows", result.left_row_count),
        ("right rows", result.right_row_count),
        ("common", result.common_row_count),
        ("changed", result.changed_row_count),
        ("only on the left", result.left_only_row_count),
        ("only on the right", result.right_only_row_count),
    ]
    if not any(pair.key for pair in result.mapping):
        lines = [(name, rows) for name, rows in lines if name != "changed"]  # there is no such thing without keys
    return _table([(f"  {name}", f"{rows:,}") for name, rows in lines], right_aligned={1})


def _columns(result: ReconciliationResult) -> Iterable[str]:
    differing = [column for column in result.columns if column.differing_row_count]
    if not differing:
        return
    rows = [("  column", "differs in rows", "by at most")]
    for column in sorted(differing, key=lambda column: -column.differing_row_count):
        name = column.left if column.left == column.right else f"{column.left} / {column.right}"
        furthest = column.max_absolute_difference
        rows.append((f"  {name}", f"{column.differing_row_count:,}", "" if furthest is None else f"{furthest:g}"))
    yield "Changed columns\n" + _table(rows, right_aligned={1, 2})


def _sample(result: ReconciliationResult, kind: DifferenceKind, rows: Sequence[RowDifference]) -> str:
    """A table of rows; changed cells are shown as `left -> right`."""
    names = [pair.right if kind is DifferenceKind.RIGHT_ONLY else pair.left for pair in result.mapping]
    shown = _places(result, rows)
    lines = [["  " + names[shown[0]], *(names[place] for place in shown[1:]), "rows"]]
    for row in rows:
        cells = [_cell(row, place, names[place]) for place in shown]
        lines.append(["  " + cells[0], *cells[1:], str(row.rows)])
    if all(row.rows == 1 for row in rows):
        lines = [line[:-1] for line in lines]
    total = {
        DifferenceKind.CHANGED: result.changed_row_count,
        DifferenceKind.LEFT_ONLY: result.left_only_row_count,
        DifferenceKind.RIGHT_ONLY: result.right_only_row_count,
    }.get(kind, 0)
    listed = sum(row.rows for row in rows)
    more = f" ({listed:,} of {total:,})" if listed < total else ""
    return f"{_TITLES[kind]}{more}\n" + _table(lines)


def _places(result: ReconciliationResult, rows: Sequence[RowDifference]) -> list[int]:
    """The columns worth showing: keys, then those that differ in these rows, then others while there is room."""
    differing = {name for row in rows for name in row.changed_columns}
    ranked = sorted(
        range(len(result.mapping)),
        key=lambda place: (not result.mapping[place].key, result.mapping[place].left not in differing),
    )
    return sorted(ranked[:_MOST_COLUMNS], key=lambda place: (not result.mapping[place].key, place))


def _cell(row: RowDifference, place: int, name: str) -> str:
    if row.left is not None and row.right is not None and name in row.changed_columns:
        return _changed(row.left[place], row.right[place])
    cells = row.left if row.left is not None else row.right
    return "" if cells is None else _shown(cells[place])


def _changed(left: str | None, right: str | None) -> str:
    """Two long texts are shown from a little before the place where they begin to differ."""
    if left and right and max(len(left), len(right)) > _WIDEST_CELL:
        shorter = min(len(left), len(right))
        start = next((at for at in range(shorter) if left[at] != right[at]), shorter) - _BEFORE_DIFFERENCE
        if start > 0:
            return f"…{_shown(left[start:])} -> …{_shown(right[start:])}"
    return f"{_shown(left)} -> {_shown(right)}"


def _shown(cell: str | None) -> str:
    if cell is None:
        return "NULL"
    if not cell or cell != cell.strip():
        cell = f'"{cell}"'
    # Whatever a cell holds, it must neither break the table nor steer the terminal.
    cell = "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in cell[: _WIDEST_CELL + 1])
    return cell if len(cell) <= _WIDEST_CELL else cell[: _WIDEST_CELL - 1] + "…"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _table(rows: Sequence[Sequence[str]], *, right_aligned: set[int] | None = None) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = right_aligned or set()
    lines = (
        "  ".join(
            cell.rjust(widths[column]) if column in aligned else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)
