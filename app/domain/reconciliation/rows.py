"""Rows as the comparison holds them: the mapped cells in canonical form, as one byte string each.

Tuples of cells are written by `marshal` in its version 2, which has no references and no interning: equal tuples give
equal bytes and unequal tuples unequal ones, lengths included, so that no cell can run into its neighbour. Rows are
compared by these bytes in full; hashes only ever choose where to look, and a collision cannot matter.
"""

import marshal
from collections.abc import Callable, Iterator, Sequence

from app.domain.reconciliation.cells import CanonicalCells, Numbers
from app.domain.reconciliation.mapping import ColumnMapping, find_columns
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.reconciliation.records import Cells, MalformedError, Records, Side

CellTuple = tuple[str | None, ...]

# (number in its file from 0, group, canonical cells, cells as written or None where they are the canonical ones).
# Rows may only pair within a group. None as the group: the row itself, for then only equal rows pair.
Row = tuple[int, bytes | None, bytes, bytes | None]

_MARSHAL_VERSION = 2
_ANY_NUMBER = True  # stands for every finite number in a group; no cell is a boolean


def pack(cells: Sequence[str | bool | None]) -> bytes:
    return marshal.dumps(tuple(cells), _MARSHAL_VERSION)


def unpack(packed: bytes) -> CellTuple:
    cells: CellTuple = marshal.loads(packed)  # noqa: S302 - packed by this very process
    return cells


class RowMaker:
    """Makes rows of records: group, canonical cells, and the cells as written where these differ."""

    def __init__(self, *, places: Sequence[int], keys: Sequence[int], options: ReconciliationOptions) -> None:
        self._places = tuple(places)
        self._keys = tuple(keys)
        self.by_text = not keys and bool(options.absolute_tolerance or options.relative_tolerance)
        # One memory per column: a column without repeats must not push out what others repeat.
        self._canonical = [
            CanonicalCells(trim=options.trim, empty_is_null=options.empty_is_null, ignore_case=options.ignore_case)
            for _ in places
        ]
        self._numbers = Numbers()

    def row(self, record: Cells) -> tuple[bytes | None, bytes, bytes | None]:
        written = [record[place] for place in self._places]
        canonical = [column[cell] for column, cell in zip(self._canonical, written, strict=True)]
        return self._group(canonical), pack(canonical), None if written == canonical else pack(written)

    def canonical(self, record: Cells) -> list[str | None]:
        """A record's canonical texts, in the mapping's order."""
        return [column[record[place]] for column, place in zip(self._canonical, self._places, strict=True)]

    def _group(self, canonical: Sequence[str | None]) -> bytes | None:
        """With keys the key's cells; with a tolerance and no keys all that the tolerance does not reach."""
        if self._keys:
            return pack([canonical[place] for place in self._keys])
        if self.by_text:
            return pack([cell if self._numbers[cell] is None else _ANY_NUMBER for cell in canonical])
        return None


class RowSource:
    """One side, seen through the mapping: each call of `rows` is one reading of it."""

    def __init__(
        self, *, side: Side, names: Sequence[str], path_side: str, keys: Sequence[int], options: ReconciliationOptions
    ) -> None:
        self.side = side
        with Records(side, lambda _: None) as records:
            self.header = records.header
        self.places = find_columns(names, self.header, side=side.name, path_side=path_side)
        self.keys = tuple(keys)
        self.options = options
        self._maker = RowMaker(places=self.places, keys=keys, options=options)
        self.grouped_by_text = self._maker.by_text

    def rows(self, on_bytes: Callable[[int], None]) -> Iterator[Row]:
        with Records(self.side, on_bytes) as records:
            if records.header != self.header:
                raise MalformedError(self.side.name, 1, "the file changed while it was compared: start again.")
            row = self._maker.row
            for number, record in enumerate(records):
                yield (number, *row(record))

    def row(self, number: int, record: Cells) -> Row:
        return (number, *self._maker.row(record))

    def canonical(self, record: Cells) -> list[str | None]:
        """A record's canonical texts, in the mapping's order."""
        return self._maker.canonical(record)


def key_places(mapping: Sequence[ColumnMapping]) -> tuple[int, ...]:
    return tuple(place for place, pair in enumerate(mapping) if pair.key)


def sources(
    left: Side, right: Side, mapping: Sequence[ColumnMapping], options: ReconciliationOptions
) -> tuple[RowSource, RowSource]:
    """Both sides; a mapped column that one of them does not have is refused."""
    keys = key_places(mapping)
    return (
        RowSource(side=left, names=[pair.left for pair in mapping], path_side="left", keys=keys, options=options),
        RowSource(side=right, names=[pair.right for pair in mapping], path_side="right", keys=keys, options=options),
    )
