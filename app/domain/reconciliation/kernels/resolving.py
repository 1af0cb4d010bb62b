"""Resolving what is left over: who stands alone in its group, which pairs differ and where, the lowest few of many."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.cells import next_cell
from app.domain.reconciliation.kernels.frame import Table
from app.domain.reconciliation.kernels.kernel import entry, inner
from app.domain.reconciliation.kernels.marks import NULL
from app.domain.reconciliation.kernels.memory import Address, fetch, same_words
from app.domain.reconciliation.kernels.records import (
    DIFFERENT,
    EQUAL,
    NEAR,
    UNSURE,
    Work,
    canonical_text,
    cell_at,
    column_of,
    compare_cells,
    keep_cell,
    order,
    plain_integer,
    split,
    surely_behind,
)
from app.domain.reconciliation.kernels.scanning import Layout
from app.domain.reconciliation.kernels.texts import Span

_MOST_COMPARED = 8
_AHEAD = 8  # records are scattered in memory: they are fetched so many before their turn

# What becomes of a record: it is in a pair, alone on its side, one of others that are, or for Python to look at.
PAIRED, ALONE, REPEATED, INTRICATE = 0, 1, 2, 3


@inner
def _run_end(groups: NDArray[np.uint64], order: NDArray[np.int64], start: int) -> int:
    end = start + 1
    while end < len(order) and groups[order[end]] == groups[order[start]]:
        end += 1
    return end


@inner
def _settle_one_side(
    rows: NDArray[np.uint64], run: NDArray[np.int64], fates: NDArray[np.int64], copies: NDArray[np.int64]
) -> None:
    """A group without a counterpart: equal records are one with copies; many different ones are for Python."""
    equal, different = True, len(run) <= _MOST_COMPARED
    for index in range(1, len(run)):
        equal &= rows[run[index]] == rows[run[0]]
    if not equal and different:
        for index in range(len(run)):
            for other in range(index):
                different &= rows[run[index]] != rows[run[other]]
    for index in range(len(run)):
        place = run[index]
        if equal:
            fates[place] = ALONE if index == 0 else REPEATED
            copies[place] = len(run) if index == 0 else 0
        else:
            fates[place] = ALONE if different else INTRICATE
            copies[place] = 1


@entry
def settle(
    groups: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    rows: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    orders: tuple[NDArray[np.int64], NDArray[np.int64]],
    fates: tuple[NDArray[np.int64], NDArray[np.int64]],
    copies: tuple[NDArray[np.int64], NDArray[np.int64]],
    pairs: Table[np.int64],
) -> int:
    """Settles the fate of each record by its group, on both sides in the order of groups; gives how many pairs."""
    found = left = right = 0
    while left < len(orders[0]) or right < len(orders[1]):
        only_left = right == len(orders[1])
        only_right = left == len(orders[0])
        if not only_left and not only_right:
            one, other = groups[0][orders[0][left]], groups[1][orders[1][right]]
            only_left, only_right = one < other, other < one
        if only_left:
            end = _run_end(groups[0], orders[0], left)
            _settle_one_side(rows[0], orders[0][left:end], fates[0], copies[0])
            left = end
        elif only_right:
            end = _run_end(groups[1], orders[1], right)
            _settle_one_side(rows[1], orders[1][right:end], fates[1], copies[1])
            right = end
        else:
            end, other_end = _run_end(groups[0], orders[0], left), _run_end(groups[1], orders[1], right)
            single = end - left == 1 and other_end - right == 1
            if single:
                pairs[found, 0], pairs[found, 1] = orders[0][left], orders[1][right]
                found += 1
            for place in orders[0][left:end]:
                fates[0][place] = PAIRED if single else INTRICATE
            for place in orders[1][right:other_end]:
                fates[1][place] = PAIRED if single else INTRICATE
            left, right = end, other_end
    return found


class Apart(NamedTuple):
    """Of each column: how many pairs differ in it, and how far apart two numbers are at most (-1: there are none)."""

    differing: NDArray[np.int64]
    greatest: NDArray[np.float64]


def new_apart(columns: int) -> Apart:
    return Apart(differing=np.zeros(columns, np.int64), greatest=np.full(columns, -1.0))


@inner
def fetch_record(start: Address) -> None:
    """The lines of the cache that most records are in."""
    fetch(start)
    fetch(start + 64)


@inner
def _find_unlike(
    start: Address,
    end: Address,
    other: Address,
    other_end: Address,
    layout: Layout,
    work: Work,
) -> None:
    """As `split`, for two records of one layout; only of the cells that are not written the same."""
    for column in range(len(layout.slots)):
        slot = layout.slots[column]
        cell = next_cell(start, end, layout.delimiter)
        behind = cell.after + 1
        if same_words(start, behind, other):
            if slot >= 0:
                work.unlike[slot] = False
            other += behind - start
            start = behind
            continue
        counterpart = next_cell(other, other_end, layout.delimiter)
        if slot >= 0:
            work.unlike[slot] = True
            keep_cell(cell, work, 0, slot)
            keep_cell(counterpart, work, 1, slot)
        start, other = behind, counterpart.after + 1


@entry
def compare_pairs(
    pairs: Table[np.int64],
    starts: tuple[NDArray[np.int64], NDArray[np.int64]],
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    layouts: tuple[Layout, Layout],
    alike: bool,
    tolerance: tuple[float, float],
    work: Work,
    changed: Table[np.bool_],
    apart: Apart,
    outcomes: NDArray[np.int8],
) -> None:
    """For each pair EQUAL (within the tolerance), DIFFERENT or UNSURE, and which cells differ.

    `alike` says that both layouts are one. `apart` is added to.
    """
    left_layout, right_layout = layouts
    columns = changed.shape[1]
    for pair in range(len(pairs)):
        if pair + _AHEAD < len(pairs):
            fetch_record(starts[0][pairs[pair + _AHEAD, 0]])
            fetch_record(starts[1][pairs[pair + _AHEAD, 1]])
        left, right = pairs[pair, 0], pairs[pair, 1]
        if alike:
            _find_unlike(starts[0][left], ends[0][left], starts[1][right], ends[1][right], left_layout, work)
        else:
            split(starts[0][left], ends[0][left], left_layout, work, 0)
            split(starts[1][right], ends[1][right], right_layout, work, 1)
        outcome = EQUAL
        for slot in range(columns):
            if alike and not work.unlike[slot]:
                continue
            related, distance = compare_cells(work, slot, left_layout.options, tolerance[0], tolerance[1])
            if related == EQUAL:
                continue
            if related == UNSURE or (left_layout.keyed and left_layout.keys[slot]):
                outcome = UNSURE
                break
            if related != NEAR:
                outcome = DIFFERENT
                changed[pair, slot] = True
                work.distances[slot] = distance
        outcomes[pair] = outcome
        if outcome == DIFFERENT:
            for slot in range(columns):
                if changed[pair, slot]:
                    apart.differing[slot] += 1
                    apart.greatest[slot] = max(apart.greatest[slot], work.distances[slot])


@entry
def lowest(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    layout: Layout,
    places: NDArray[np.int64],
    worst: tuple[int, int],
    work: Work,
    held: NDArray[np.int64],
    unsure: NDArray[np.int64],
) -> tuple[int, int]:
    """Writes the records that come first by these cells, and before the record `worst` (0: there is none) to `held`.

    There is room for as many as are wanted, and one more; `unsure` has room for all, and takes those whose order is
    not sure. Gives how many are in each.
    """
    limit = len(held) - 1
    count = doubtful = 0
    column = column_of(layout, places[0])
    bound, bound_known, bound_integer = Span(NULL, 0, 0), False, -1
    for index in range(len(starts)):
        if index + _AHEAD < len(starts):
            fetch(starts[index + _AHEAD])
        bound_start, bound_end = worst
        if count == limit:
            if not limit:
                break
            bound_start, bound_end = starts[held[count - 1]], ends[held[count - 1]]
        if bound_start:  # most records are told by their first cell
            if not bound_known:
                cell = cell_at(bound_start, bound_end, layout.delimiter, column)
                bound, bound_known = canonical_text(cell, layout.options, work.texts[1], work.scratch[1]), True
                bound_integer = plain_integer(cell)
            cell = cell_at(starts[index], ends[index], layout.delimiter, column)
            if 0 <= bound_integer < plain_integer(cell):
                continue
            if surely_behind(canonical_text(cell, layout.options, work.texts[0], work.scratch[0]), bound):
                continue
        bound_known = False
        split(starts[index], ends[index], layout, work, 0)
        sure = True
        if bound_start:
            split(bound_start, bound_end, layout, work, 1)
            where, sure = order(work, places, layout.options)
            if sure and where >= 0:
                continue
        place = count
        while sure and place > 0:
            split(starts[held[place - 1]], ends[held[place - 1]], layout, work, 1)
            where, sure = order(work, places, layout.options)
            if where >= 0:
                break
            place -= 1
        if not sure:
            unsure[doubtful] = index
            doubtful += 1
            continue
        for moved in range(min(count, limit - 1), place, -1):
            held[moved] = held[moved - 1]
        held[place] = index
        count = min(count + 1, limit)
    return count, doubtful
