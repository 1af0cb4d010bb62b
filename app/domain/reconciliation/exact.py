"""The exact comparison of rows held in memory: all of two small sides, or one partition of large ones.

Both sides are multisets of rows. Equal rows pair first: min(left, right) of each distinct row are common. Then

- without keys, what is left over is left-only and right-only (with a tolerance, pairs within it are common first);
- with keys, what is left over pairs within its key (`pairing`), as changed or, within the tolerance, as common; the
  rest is left-only and right-only. A NULL in a key equals a NULL. A key that several rows of a side share is reported.

Rows are found by Python's dictionaries, which compare them in full: hash collisions cannot matter.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.domain.reconciliation.cells import order_of
from app.domain.reconciliation.pairing import Pairing, Surplus
from app.domain.reconciliation.progress import CHECK_EVERY_ROWS, Meter
from app.domain.reconciliation.rows import Row, RowSource, unpack
from app.domain.reconciliation.tally import Occurrence, Tally


@dataclass(slots=True)
class _Distinct:
    """A distinct row: how often it stands on each side, and where first."""

    group: bytes | None
    left: Occurrence | None = None
    right: Occurrence | None = None
    left_rows: int = 0
    right_rows: int = 0


class Duplicates:
    """Keys that several rows of one side share."""

    MOST_EXAMPLES = 10_000  # of keys with equally many rows; among more no example is looked for

    def __init__(self, side: str) -> None:
        self._side = side
        self._keys = 0
        self._rows = 0
        self._most = 0
        self._examples: list[bytes] = []
        self._equals = 0

    def add(self, counts: dict[bytes, int]) -> None:
        repeated = {key: rows for key, rows in counts.items() if rows > 1}
        if repeated:
            most = max(repeated.values())
            examples = [key for key, rows in repeated.items() if rows == most]
            self.merge(keys=len(repeated), rows=sum(repeated.values()), most=most, examples=examples)

    def merge(self, *, keys: int, rows: int, most: int, examples: Sequence[bytes], equals: int | None = None) -> None:
        """Takes in a part of the keys: the repeated ones, their rows, the most of one, and `equals` keys with that."""
        self._keys += keys
        self._rows += rows
        if most > self._most:
            self._most, self._examples, self._equals = most, [], 0
        if most == self._most:
            self._examples.extend(examples[: self.MOST_EXAMPLES])
            self._equals += len(examples) if equals is None else equals

    def report(self, tally: Tally) -> None:
        if not self._keys:
            return
        stand = "key stands" if self._keys == 1 else "keys stand"
        example = f"at most {self._most} rows each"
        if self._equals <= self.MOST_EXAMPLES:
            lowest = min(self._examples, key=lambda key: [order_of(cell) for cell in unpack(key)])
            example = f"for example {tally.key_text(lowest)} on {self._most} rows"
        tally.warnings.append(
            f"{self._side}: {self._keys} {stand} on more than one row ({self._rows} rows in all), {example}. "
            "Rows of one key are paired equal ones first, then the most alike."
        )


# How often a row's key (without keys, the row) stands on the left and on the right, by its number and side.
Totals = Callable[[int, bool], tuple[int, int]]


class Pool:
    """Takes the rows of both sides, left first, and settles them into a tally.

    Where the pool has not all rows of its groups, `totals` says how many there are.
    """

    def __init__(
        self, *, tally: Tally, pairing: Pairing, keyed: bool, meter: Meter, totals: Totals | None = None
    ) -> None:
        self._tally = tally
        self._totals = totals
        self._pairing = pairing
        self._keyed = keyed
        self._meter = meter
        self._rows: dict[bytes, _Distinct] = {}
        self.left_rows = 0
        self.right_rows = 0
        self.left_keys: dict[bytes, int] = {}
        self.right_keys: dict[bytes, int] = {}

    def take_left(self, rows: Iterable[Row]) -> None:
        known, keys = self._rows, self.left_keys
        for number, group, canonical, written in rows:
            distinct = known.get(canonical)
            if distinct is None:
                distinct = known[canonical] = _Distinct(group, Occurrence(number, canonical, written))
            distinct.left_rows += 1
            self.left_rows += 1
            if group is not None and self._keyed:
                keys[group] = keys.get(group, 0) + 1

    def take_right(self, rows: Iterable[Row]) -> None:
        known, keys = self._rows, self.right_keys
        for number, group, canonical, written in rows:
            distinct = known.get(canonical)
            if distinct is None:
                distinct = known[canonical] = _Distinct(group)
            if distinct.right is None:
                distinct.right = Occurrence(number, canonical, written)
            distinct.right_rows += 1
            self.right_rows += 1
            if group is not None and self._keyed:
                keys[group] = keys.get(group, 0) + 1

    def settle(self) -> None:
        groups: dict[bytes, tuple[list[Surplus], list[Surplus]]] = {}
        for index, (canonical, distinct) in enumerate(self._rows.items()):
            if index % CHECK_EVERY_ROWS == 0:
                self._meter.check()
            left, right = distinct.left, distinct.right
            surplus = distinct.left_rows - distinct.right_rows
            if left is not None and right is not None:
                pairs = min(distinct.left_rows, distinct.right_rows)
                self._tally.common(pairs, left, right, self._counts(left, right))
            if surplus:
                lefts, rights = groups.setdefault(distinct.group or canonical, ([], []))
                if surplus > 0 and left is not None:
                    lefts.append(Surplus(left, surplus))
                elif right is not None:
                    rights.append(Surplus(right, -surplus))
        for index, (lefts, rights) in enumerate(groups.values()):
            if index % CHECK_EVERY_ROWS == 0:
                self._meter.check()
            self._settle_group(lefts, rights)

    def _settle_group(self, lefts: list[Surplus], rights: list[Surplus]) -> None:
        if lefts and rights:
            for pair in self._pairing.pairs(lefts, rights):
                counts = self._counts(pair.left, pair.right)
                if pair.changed:
                    self._tally.changed(pair.rows, pair.left, pair.right, counts, pair.changed)
                else:
                    self._tally.common(pair.rows, pair.left, pair.right, counts)
        for left in lefts:
            if left.rows:
                self._tally.left_only(left.rows, left.occurrence, self._counts(left.occurrence, None))
        for right in rights:
            if right.rows:
                self._tally.right_only(right.rows, right.occurrence, self._counts(None, right.occurrence))

    def _counts(self, left: Occurrence | None, right: Occurrence | None) -> tuple[int, int]:
        """How often the left one's key stands on the left and the right one's on the right; without keys, the row.

        Where there is one of them alone, it is that one's key on both sides.
        """
        of_left = None if left is None else self._count(left, on_left=True)
        of_right = of_left if right is None else self._count(right, on_left=False)
        if of_left is None:
            of_left = of_right
        if of_left is None or of_right is None:
            raise AssertionError
        return of_left[0], of_right[1]

    def _count(self, row: Occurrence, *, on_left: bool) -> tuple[int, int]:
        if self._totals:
            return self._totals(row.number, on_left)
        distinct = self._rows[row.canonical]
        if self._keyed and distinct.group is not None:
            return self.left_keys.get(distinct.group, 0), self.right_keys.get(distinct.group, 0)
        return distinct.left_rows, distinct.right_rows


def compare_exactly(
    *, left: RowSource, right: RowSource, tally: Tally, pairing: Pairing, keyed: bool, meter: Meter
) -> None:
    """Both sides in memory at once."""
    pool = Pool(tally=tally, pairing=pairing, keyed=keyed, meter=meter)
    pool.take_left(left.rows(meter.advance))
    pool.take_right(right.rows(meter.advance))
    tally.left_rows, tally.right_rows = pool.left_rows, pool.right_rows
    pool.settle()
    for side, keys in ((left.side, pool.left_keys), (right.side, pool.right_keys)):
        duplicates = Duplicates(side.name)
        duplicates.add(keys)
        duplicates.report(tally)
