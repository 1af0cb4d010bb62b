"""Counting hashes on both sides, a partition at a time, and telling which rows of a side have no equal on the other.

An entry is a pair: a hash, and the number of the row that has it. Entries are dealt out to partitions by the hash's
highest bits; within a partition a table of open addresses finds them by the lower ones.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.frame import Cube, Table
from app.domain.reconciliation.kernels.kernel import entry, inner

Entries = Table[np.uint64]  # shape (n, 2): hash, row number

_ONE = np.uint64(1)
_NO_ROW = np.int64(-1)


class Counts(NamedTuple):
    """For each distinct hash, at a slot of its own: how often it is on each side, and the first row there."""

    hashes: NDArray[np.uint64]
    taken: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    first_left: NDArray[np.int64]
    first_right: NDArray[np.int64]

    def repeat(self) -> bool:
        """Whether a hash stands more than once on a side."""
        return bool(self.left.max() > 1 or self.right.max() > 1)


def new_counts(slots: int) -> Counts:
    """An empty table; `slots` is a power of two, and more than the hashes that will be in it."""
    return Counts(
        hashes=np.empty(slots, np.uint64),
        taken=np.zeros(slots, np.bool_),
        left=np.zeros(slots, np.int64),
        right=np.zeros(slots, np.int64),
        first_left=np.full(slots, _NO_ROW),
        first_right=np.full(slots, _NO_ROW),
    )


@entry
def deal(
    hashes: NDArray[np.uint64],
    start: int,
    first_number: int,
    shift: int,
    hands: Cube[np.uint64],
    held: NDArray[np.int64],
) -> int:
    """Deals entries to `hands` (partition, place, 2) from `start` on, until a hand is full; gives where it stopped."""
    capacity = hands.shape[1]
    for index in range(start, len(hashes)):
        value = hashes[index]
        partition = np.int64(value >> np.uint64(shift))
        place = held[partition]
        hands[partition, place, 0] = value
        hands[partition, place, 1] = np.uint64(first_number + index)
        held[partition] = place + 1
        if place + 1 == capacity:
            return index + 1
    return len(hashes)


@inner
def slot_of(counts: Counts, value: np.uint64) -> np.int64:
    """Where a hash is, or would be."""
    mask = np.uint64(len(counts.hashes) - 1)
    slot = np.int64(value & mask)
    while counts.taken[slot] and counts.hashes[slot] != value:
        slot = (slot + 1) & np.int64(mask)
    return slot


@entry
def count(entries: Entries, counts: Counts, on_left: bool, known: int) -> int:
    """Counts entries into the table, as long as it is no more than half full; gives how many distinct hashes it has.

    A table that is too small is told by -1 and left in disorder: count again into a larger one.
    """
    most = len(counts.hashes) // 2
    for index in range(len(entries)):
        value = entries[index, 0]
        slot = slot_of(counts, value)
        if not counts.taken[slot]:
            if known == most:
                return -1
            counts.taken[slot] = True
            counts.hashes[slot] = value
            known += 1
        if on_left:
            if counts.left[slot] == 0:
                counts.first_left[slot] = np.int64(entries[index, 1])
            counts.left[slot] += 1
        else:
            if counts.right[slot] == 0:
                counts.first_right[slot] = np.int64(entries[index, 1])
            counts.right[slot] += 1
    return known


@entry
def surplus(counts: Counts, more: NDArray[np.int64]) -> tuple[int, int]:
    """Writes for each slot how many rows more there are on the left (less: negative).

    Gives the pairs, and how many slots have a surplus.
    """
    pairs = 0
    differing = 0
    for slot in range(len(more)):
        more[slot] = counts.left[slot] - counts.right[slot]
        if counts.taken[slot]:
            pairs += min(counts.left[slot], counts.right[slot])
            differing += more[slot] != 0
    return pairs, differing


@entry
def mark(entries: Entries, counts: Counts, more: NDArray[np.int64], on_left: bool, bits: NDArray[np.uint8]) -> None:
    """Sets the bits of the rows without an equal: of equal rows the first ones in the file."""
    step = 1 if on_left else -1
    for index in range(len(entries)):
        slot = slot_of(counts, entries[index, 0])
        if more[slot] * step > 0:
            more[slot] -= step
            number = entries[index, 1]
            bits[np.int64(number >> np.uint64(3))] |= np.uint8(_ONE << (number & np.uint64(7)))


@entry
def first_pairs(counts: Counts, found: NDArray[np.int64]) -> int:
    """Writes the slots of hashes that are on both sides, as many as have room: those that come first on the left.

    Gives how many.
    """
    limit = len(found)
    held = 0
    for slot in range(len(counts.hashes)):
        if not counts.taken[slot] or not counts.left[slot] or not counts.right[slot]:
            continue
        number = counts.first_left[slot]
        if held == limit and (not limit or number > counts.first_left[found[held - 1]]):
            continue
        place = held if held < limit else held - 1
        while place > 0 and counts.first_left[found[place - 1]] > number:
            found[place] = found[place - 1]
            place -= 1
        found[place] = slot
        held = min(held + 1, limit)
    return held


@entry
def repeated(counts: Counts, on_left: bool, examples: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Hashes that stand more than once on a side.

    How many; on how many rows; the most rows of one; how many hashes have that many, of which as many as have room
    leave their first rows in `examples`.
    """
    rows = counts.left if on_left else counts.right
    first = counts.first_left if on_left else counts.first_right
    hashes = total = 0
    most = 1
    equals = 0
    for slot in range(len(rows)):
        if rows[slot] < 2:
            continue
        hashes += 1
        total += rows[slot]
        if rows[slot] > most:
            most = rows[slot]
            equals = 0
        if rows[slot] == most:
            if equals < len(examples):
                examples[equals] = first[slot]
            equals += 1
    return hashes, total, most, equals


@entry
def look_up(counts: Counts, hashes: NDArray[np.uint64], totals: Table[np.int64]) -> None:
    """Writes how often each hash is on the left and on the right to `totals`, of shape (n, 2)."""
    for index in range(len(hashes)):
        slot = slot_of(counts, hashes[index])
        totals[index, 0] = counts.left[slot]
        totals[index, 1] = counts.right[slot]
