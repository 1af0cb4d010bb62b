"""Walking along two sides whose records are in the same order: whose turn is it, who stands alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.cells import behind_blank_line
from app.domain.reconciliation.kernels.frame import Table
from app.domain.reconciliation.kernels.kernel import entry, inner
from app.domain.reconciliation.kernels.marks import NEWLINE, QUOTE
from app.domain.reconciliation.kernels.memory import Address, look_along, same_words
from app.domain.reconciliation.kernels.records import Work, cell_at, order, plain_integer, split
from app.domain.reconciliation.kernels.scanning import DONE, FULL, MALFORMED, READ, Layout, behind_record


class Order(NamedTuple):
    """The places of the mapping by whose cells records ascend, or descend."""

    places: NDArray[np.int64]
    descending: bool


class Run(NamedTuple):
    """Records as they follow one another: where each begins and ends, and the integer in its first ordering column.

    Where there is anything else, the integer is -1.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    integers: NDArray[np.int64]

    def part(self, start: int, end: int) -> "Run":
        return Run(self.starts[start:end], self.ends[start:end], self.integers[start:end])


def new_run(capacity: int) -> Run:
    return Run(np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64))


@entry
def read_run(start: Address, end: Address, layout: Layout, column: int, run: Run) -> tuple[int, Address, int]:
    """Reads records, ordered by a column: how many, where the first one begins that is not among them, how it ended."""
    width = len(layout.slots)
    address, count = start, 0
    while address < end:
        behind = behind_blank_line(address) if width > 1 else 0
        if behind:
            address = behind
            continue
        if count == len(run.starts):
            return count, address, FULL
        line_end, delimiters, quotes = look_along(address, NEWLINE, layout.delimiter, QUOTE)
        behind = line_end + 1
        if quotes:
            ended, behind = behind_record(address, end, layout)
            if ended != READ:
                return count, address, ended
        elif delimiters + 1 != width:
            return count, address, MALFORMED
        run.starts[count] = address
        run.ends[count] = behind
        run.integers[count] = plain_integer(cell_at(address, behind, layout.delimiter, column))
        count += 1
        address = behind
    return count, address, DONE


@entry
def is_in_order(run: Run, layout: Layout, wanted: Order, work: Work) -> bool:
    """Whether each record surely comes behind the one before it, and none is its equal."""
    for index in range(1, len(run.starts)):
        low, high = (index, index - 1) if wanted.descending else (index - 1, index)
        lower, higher = run.integers[low], run.integers[high]
        if 0 <= lower < higher:
            continue
        if len(wanted.places) == 1 and 0 <= higher <= lower:
            return False
        split(run.starts[low], run.ends[low], layout, work, 0)
        split(run.starts[high], run.ends[high], layout, work, 1)
        where, sure = order(work, wanted.places, layout.options)
        if not sure or where >= 0:
            return False
    return True


@inner
def _turn(
    left: Run, at_left: int, right: Run, at_right: int, layouts: tuple[Layout, Layout], places: NDArray[np.int64],
    work: Work,
) -> tuple[int, bool]:  # fmt: skip
    """Which of a record of each side is the lower one, as `order` has it."""
    integer, other = left.integers[at_left], right.integers[at_right]
    if integer >= 0 and other >= 0:
        if integer != other:
            return (-1 if integer < other else 1), True
        if len(places) == 1:
            return 0, True
    split(left.starts[at_left], left.ends[at_left], layouts[0], work, 0)
    split(right.starts[at_right], right.ends[at_right], layouts[1], work, 1)
    return order(work, places, layouts[0].options)


@entry
def merge(
    left: Run,
    right: Run,
    complete: tuple[bool, bool],
    layouts: tuple[Layout, Layout],
    wanted: Order,
    work: Work,
    pairs: Table[np.int64],
    alone: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[int, int, int, int, int, bool]:
    """Pairs the records of one order; as far as both sides are known, or one is `complete`, for nothing follows.

    Gives how many records of each side are settled, how many pairs were written, and of each side how many stand
    alone; and whether every order was sure.
    """
    at_left = at_right = paired = left_alone = right_alone = 0
    while at_left < len(left.starts) or at_right < len(right.starts):
        if at_left == len(left.starts):
            if not complete[0]:
                break
            where, sure = 1, True
        elif at_right == len(right.starts):
            if not complete[1]:
                break
            where, sure = -1, True
        else:
            where, sure = _turn(left, at_left, right, at_right, layouts, wanted.places, work)
            where = -where if wanted.descending else where
        if not sure:
            return at_left, at_right, paired, left_alone, right_alone, False
        if where == 0:
            pairs[paired, 0], pairs[paired, 1] = at_left, at_right
            paired += 1
            at_left += 1
            at_right += 1
        elif where < 0:
            alone[0][left_alone] = at_left
            left_alone += 1
            at_left += 1
        else:
            alone[1][right_alone] = at_right
            right_alone += 1
            at_right += 1
    return at_left, at_right, paired, left_alone, right_alone, True


@entry
def unlike_lines(pairs: Table[np.int64], left: Run, right: Run, chosen: NDArray[np.int64]) -> int:
    """Writes the places of the pairs that are not written the same, byte for byte; gives how many."""
    found = 0
    for pair in range(len(pairs)):
        start, end = left.starts[pairs[pair, 0]], left.ends[pairs[pair, 0]]
        other, other_end = right.starts[pairs[pair, 1]], right.ends[pairs[pair, 1]]
        if end - start != other_end - other or not same_words(start, end, other):
            chosen[found] = pair
            found += 1
    return found
