"""How rows that are left over within one group find a partner, the same way whatever the order of the files.

Rows that are equal in every cell have paired before. Of the rest:

1. *Within the tolerance*: the left rows in ascending order each take the lowest free right row whose every cell is
   equal or within the tolerance. With one number that varies this finds as many pairs as there can be.
2. *With keys*, the rows of a key that are still alone pair as changed, those with the fewest changed columns first,
   then in ascending order. (Beyond `COMPARED_PAIRS` combinations of one key's rows: in ascending order alone.)

Rows ascend by their cells in the mapping's order: NULL, then numbers by value, then all else by code points.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from app.domain.reconciliation.cells import Numbers, order_of
from app.domain.reconciliation.rows import CellTuple, unpack
from app.domain.reconciliation.tally import Occurrence
from app.domain.reconciliation.tolerance import Tolerance

COMPARED_PAIRS = 10_000


@dataclass(slots=True)
class Surplus:
    """Equal rows of one side that are still without a partner."""

    occurrence: Occurrence
    rows: int
    cells: CellTuple = field(init=False)

    def __post_init__(self) -> None:
        self.cells = unpack(self.occurrence.canonical)


@dataclass(frozen=True, slots=True)
class Pair:
    """`rows` pairs; no changed places: within the tolerance."""

    left: Occurrence
    right: Occurrence
    rows: int
    changed: tuple[int, ...]


class Pairing:
    def __init__(self, *, tolerance: Tolerance, keyed: bool, check: Callable[[], None]) -> None:
        self._tolerance = tolerance
        self._keyed = keyed
        self._check = check  # raises when the comparison was cancelled
        self._numbers = Numbers()

    def pairs(self, lefts: list[Surplus], rights: list[Surplus]) -> Iterator[Pair]:
        """Pairs of one group's rows; takes them off `rows`, and what remains there has no partner."""
        if len(lefts) * len(rights) > 1:
            self._check()
        if len(lefts) > 1:
            lefts.sort(key=_ascending)
        if len(rights) > 1:
            rights.sort(key=_ascending)
        if self._tolerance:
            yield from self._within_tolerance(lefts, rights)
        if self._keyed:
            yield from self._changed(_alone(lefts), _alone(rights))

    def _within_tolerance(self, lefts: Sequence[Surplus], rights: Sequence[Surplus]) -> Iterator[Pair]:
        near = self._neighbours(rights) if len(lefts) * len(rights) > COMPARED_PAIRS else None
        for left in lefts:
            self._check()
            for right in near(left) if near else rights:
                if right.rows and not self._changed_places(left, right):
                    yield _take(left, right, ())
                    if not left.rows:
                        break

    def _neighbours(self, rights: Sequence[Surplus]) -> Callable[[Surplus], Iterator[Surplus]]:
        """Finds the right rows that can be near a left one, in ascending order, by the column that tells most apart."""
        width = len(rights[0].cells)
        place = max(range(width), key=lambda place: len({right.cells[place] for right in rights}))
        numbered: list[tuple[Decimal, int]] = []
        others: dict[str | None, list[int]] = {}
        for index, right in enumerate(rights):
            number = self._numbers[right.cells[place]]
            if number is None:
                others.setdefault(right.cells[place], []).append(index)
            else:
                numbered.append((number, index))
        numbered.sort()

        def near(left: Surplus) -> Iterator[Surplus]:
            number = self._numbers[left.cells[place]]
            if number is None:
                indexes = others.get(left.cells[place], [])
            else:
                low, high = self._tolerance.window(number)
                start = bisect_left(numbered, low, key=lambda entry: entry[0])
                end = bisect_right(numbered, high, key=lambda entry: entry[0])
                indexes = sorted(index for _, index in numbered[start:end])
            return (rights[index] for index in indexes)

        return near

    def _changed(self, lefts: list[Surplus], rights: list[Surplus]) -> Iterator[Pair]:
        if not lefts or not rights:
            return
        if len(lefts) * len(rights) > COMPARED_PAIRS:
            yield from self._in_order(lefts, rights)
            return
        ranked = [
            (len(changed), i, j, changed)
            for i, left in enumerate(lefts)
            for j, right in enumerate(rights)
            for changed in (self._changed_places(left, right),)
        ]
        for _, i, j, changed in sorted(ranked):
            if lefts[i].rows and rights[j].rows:
                yield _take(lefts[i], rights[j], changed)

    def _in_order(self, lefts: list[Surplus], rights: list[Surplus]) -> Iterator[Pair]:
        others = iter(rights)
        right = next(others)
        for left in lefts:
            self._check()
            while left.rows:
                yield _take(left, right, self._changed_places(left, right))
                if not right.rows:
                    following = next(others, None)
                    if following is None:
                        return
                    right = following

    def _changed_places(self, left: Surplus, right: Surplus) -> tuple[int, ...]:
        cells = zip(left.cells, right.cells, strict=True)
        return tuple([place for place, (one, other) in enumerate(cells) if one != other and not self._near(one, other)])

    def _near(self, one: str | None, other: str | None) -> bool:
        if not self._tolerance:
            return False
        left, right = self._numbers[one], self._numbers[other]
        return left is not None and right is not None and self._tolerance.allows(left, right)


def _ascending(surplus: Surplus) -> list[tuple[int, Decimal, str]]:
    return [order_of(cell) for cell in surplus.cells]


def _alone(side: list[Surplus]) -> list[Surplus]:
    return [surplus for surplus in side if surplus.rows]


def _take(left: Surplus, right: Surplus, changed: tuple[int, ...]) -> Pair:
    rows = min(left.rows, right.rows)
    left.rows -= rows
    right.rows -= rows
    return Pair(left.occurrence, right.occurrence, rows, changed)
