"""All differing rows as one CSV table, written while they are found.

Columns: `kind`, `rows`, `left_count`, `right_count`, `changed_columns` (names of the left side, joined by `;`), then
`key.<name>` for each key, then `left.<name>` and `right.<name>` side by side for each other mapped column. NULL is an
unquoted empty field and the empty string `""`; the cells of a side that has no such row are empty.
"""

from collections.abc import Callable, Sequence

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.result import RowDifference

FLUSH_ROWS = 1000


class DifferencesTable:
    """Give it to `compare` as the sink; `write` gets UTF-8 text in pieces, and `finish` the rest of it.

    `rewind`, where there is one, takes back all that was written.
    """

    def __init__(
        self,
        *,
        mapping: Sequence[ColumnMapping],
        write: Callable[[bytes | memoryview], object],
        rewind: Callable[[], object] | None = None,
    ) -> None:
        self._write = write
        self._rewind = rewind
        self._values = [place for place, pair in enumerate(mapping) if not pair.key]
        self._lines: list[str] = []
        self.columns = (
            "kind",
            "rows",
            "left_count",
            "right_count",
            "changed_columns",
            *(f"key.{pair.left}" for pair in mapping if pair.key),
            *(name for pair in mapping if not pair.key for name in (f"left.{pair.left}", f"right.{pair.right}")),
        )
        self.row_count = 0
        self._add(self.columns)

    def __call__(self, difference: RowDifference) -> None:
        cells: list[str | None] = [
            difference.kind.value,
            str(difference.rows),
            str(difference.left_count),
            str(difference.right_count),
            ";".join(difference.changed_columns) or None,
            *(difference.key or ()),
        ]
        for place in self._values:
            cells.append(difference.left[place] if difference.left else None)
            cells.append(difference.right[place] if difference.right else None)
        self.row_count += 1
        self._add(cells)

    def write_block(self, text: memoryview, rows: int) -> None:
        """Takes lines that are written already."""
        self.finish()
        self.row_count += rows
        self._write(text)

    def can_rewind(self) -> bool:
        return self._rewind is not None

    def rewind(self) -> None:
        """Begins again."""
        if self._rewind is None:
            raise AssertionError
        self._rewind()
        self._lines.clear()
        self.row_count = 0
        self._add(self.columns)

    def finish(self) -> None:
        self._write("".join(self._lines).encode())
        self._lines.clear()

    def _add(self, cells: Sequence[str | None]) -> None:
        self._lines.append(",".join(map(_cell, cells)) + "\n")
        if len(self._lines) >= FLUSH_ROWS:
            self.finish()


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    if text and text == text.strip() and not any(mark in text for mark in ',"\n\r'):
        return text
    return '"' + text.replace('"', '""') + '"'
