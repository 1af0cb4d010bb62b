"""Which rows are on both sides, a partition at a time, by their hashes.

An entry is three numbers: the hash of a row's group, the hash of the row, and the row's number in its file. Entries are
dealt out to partitions by the highest bits of the group's hash; within a partition a table of open addresses finds them
by the lower ones.
"""

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.frame import Cube, Table
from app.domain.reconciliation.kernels.kernel import entry, inner

GROUP, ROW, NUMBER, FIELDS = 0, 1, 2, 3
Entries = Table[np.int64]  # shape (n, FIELDS); hashes are unsigned, and only compared here

# A table of counts, of shape (slots, COUNTED): free where both counts are zero. `slots` is a power of two.
HASH, LEFT, RIGHT, FIRST_LEFT, FIRST_RIGHT, COUNTED = 0, 1, 2, 3, 4, 5
Counts = Table[np.int64]


def no_entries() -> Entries:
    return np.empty((0, FIELDS), np.int64)


_SHARE_SHIFT = 24  # bits of the hash that tell shares apart are none of those that choose partition or slot
_LOW = np.int64(0xFFFFFFFF)


@entry
def deal(
    groups: NDArray[np.uint64],
    rows: NDArray[np.uint64],
    start: int,
    first_number: int,
    shift: int,
    hands: Cube[np.int64],
    held: NDArray[np.int64],
) -> int:
    """Deals entries to `hands` (partition, place, field) from `start` on, until one is full; gives where it stopped."""
    capacity = hands.shape[1]
    for index in range(start, len(groups)):
        group = groups[index]
        partition = np.int64(group >> np.uint64(shift))
        place = held[partition]
        hands[partition, place, GROUP] = np.int64(group)
        hands[partition, place, ROW] = np.int64(rows[index])
        hands[partition, place, NUMBER] = first_number + index
        held[partition] = place + 1
        if place + 1 == capacity:
            return index + 1
    return len(groups)


@entry
def join(
    left: Entries, right: Entries, table: Table[np.int64], of_left: NDArray[np.int32], of_right: NDArray[np.int32]
) -> bool:
    """Finds for each entry the one of its group on the other side, or -1; False as soon as a group repeats on a side.

    `table`, of shape (slots, 2) and zero, has a power of two of slots, more than there are entries.
    """
    mask = np.int64(len(table) - 1)
    for index in range(len(left)):
        group = left[index, GROUP]
        slot = group & mask
        while table[slot, 1]:
            if table[slot, 0] == group:
                return False
            slot = (slot + 1) & mask
        table[slot, 0] = group
        table[slot, 1] = np.int64(index + 1) << 32
        of_left[index] = -1
    for index in range(len(right)):
        group = right[index, GROUP]
        slot = group & mask
        while table[slot, 1] and table[slot, 0] != group:
            slot = (slot + 1) & mask
        places = table[slot, 1]
        if places & _LOW:
            return False
        table[slot, 0] = group
        table[slot, 1] = places | np.int64(index + 1)
        partner = (places >> 32) - 1
        of_right[index] = partner
        if partner >= 0:
            of_left[partner] = index
    return True


@entry
def unequal(entries: Entries, other: Entries, partners: NDArray[np.int32], chosen: NDArray[np.int64]) -> int:
    """Writes the places of the entries whose partner is another row, or that have none; gives how many."""
    found = 0
    for index in range(len(entries)):
        partner = partners[index]
        if partner < 0 or entries[index, ROW] != other[partner, ROW]:
            chosen[found] = index
            found += 1
    return found


@entry
def first_equal(left: Entries, right: Entries, of_left: NDArray[np.int32], before: int, found: Table[np.int64]) -> int:
    """Of the equal pairs whose left number is below `before` the first few, in their order.

    Writes their places on both sides to `found`, of shape (limit, 2); gives how many.
    """
    held = 0
    for index in range(len(left)):
        number = left[index, NUMBER]
        if number >= before:
            continue
        partner = np.int64(of_left[index])
        if partner < 0 or left[index, ROW] != right[partner, ROW]:
            continue
        place = held if held < len(found) else held - 1
        if held == len(found) and (not held or left[found[place, 0], NUMBER] < number):
            continue
        while place > 0 and left[found[place - 1, 0], NUMBER] > number:
            found[place, 0], found[place, 1] = found[place - 1, 0], found[place - 1, 1]
            place -= 1
        found[place, 0], found[place, 1] = index, partner
        held = min(held + 1, len(found))
    return held


@entry
def set_bits(entries: Entries, bits: NDArray[np.uint8]) -> None:
    """Sets the bits of the entries' row numbers."""
    for index in range(len(entries)):
        number = entries[index, NUMBER]
        bits[number >> 3] |= np.uint8(1 << (number & 7))


@inner
def slot_of(counts: Counts, value: np.int64) -> np.int64:
    """Where a hash is, or would be."""
    mask = np.int64(len(counts) - 1)
    slot = value & mask
    while counts[slot, HASH] != value and (counts[slot, LEFT] or counts[slot, RIGHT]):
        slot = (slot + 1) & mask
    return slot


@entry
def count(entries: Entries, field: int, counts: Counts, on_left: bool, known: int, share: int, shares: int) -> int:
    """Counts a field of the entries into a table that is no more than half full; gives how many hashes it has.

    Of `shares` (a power of two) shares of all hashes it takes one. A table that is too small is told by -1 and left in
    disorder: count again into a larger one.
    """
    most = len(counts) // 2
    for index in range(len(entries)):
        value = entries[index, field]
        if (value >> _SHARE_SHIFT) & (shares - 1) != share:
            continue
        slot = slot_of(counts, value)
        if not counts[slot, LEFT] and not counts[slot, RIGHT]:
            if known == most:
                return -1
            counts[slot, HASH] = value
            known += 1
        if on_left:
            if not counts[slot, LEFT]:
                counts[slot, FIRST_LEFT] = entries[index, NUMBER]
            counts[slot, LEFT] += 1
        else:
            if not counts[slot, RIGHT]:
                counts[slot, FIRST_RIGHT] = entries[index, NUMBER]
            counts[slot, RIGHT] += 1
    return known


@entry
def pairs(counts: Counts) -> tuple[int, int, int]:
    """The pairs of equal rows; how many hashes stand more often on one side; and of these, how many more than once."""
    found = differing = several = 0
    for slot in range(len(counts)):
        left, right = counts[slot, LEFT], counts[slot, RIGHT]
        found += min(left, right)
        if left != right:
            differing += 1
            several += left + right > 1
    return found, differing, several


@entry
def surplus(
    entries: Entries, counts: Counts, on_left: bool, taken: NDArray[np.int64], share: int, shares: int,
    chosen: NDArray[np.int64],
) -> int:  # fmt: skip
    """Writes the places of the rows without an equal, of equal rows the first ones in the file; gives how many.

    `taken`, zero at first, is how many of each slot were written, for one call after the other.
    """
    found = 0
    for index in range(len(entries)):
        value = entries[index, ROW]
        if (value >> _SHARE_SHIFT) & (shares - 1) != share:
            continue
        slot = slot_of(counts, value)
        more = counts[slot, LEFT] - counts[slot, RIGHT]
        if taken[slot] < (more if on_left else -more):
            taken[slot] += 1
            chosen[found] = index
            found += 1
    return found


@entry
def first_pairs(counts: Counts, before: int, found: NDArray[np.int64]) -> int:
    """Of the hashes that are on both sides, and on the left before a row number, those that come first there.

    Writes their slots to `found`, in order; gives how many.
    """
    held = 0
    for slot in range(len(counts)):
        number = counts[slot, FIRST_LEFT]
        if not counts[slot, LEFT] or not counts[slot, RIGHT] or number >= before:
            continue
        place = held if held < len(found) else held - 1
        if held == len(found) and (not held or counts[found[place], FIRST_LEFT] < number):
            continue
        while place > 0 and counts[found[place - 1], FIRST_LEFT] > number:
            found[place] = found[place - 1]
            place -= 1
        found[place] = slot
        held = min(held + 1, len(found))
    return held


@entry
def repeated(counts: Counts, on_left: bool, examples: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Hashes that stand more than once on a side: how many; on how many rows; the most rows of one; how many have that.

    Of the latter the first rows are written to `examples`, as far as it reaches.
    """
    rows, first = (LEFT, FIRST_LEFT) if on_left else (RIGHT, FIRST_RIGHT)
    hashes = total = equals = 0
    most = 1
    for slot in range(len(counts)):
        here = counts[slot, rows]
        if here < 2:
            continue
        hashes += 1
        total += here
        if here > most:
            most, equals = here, 0
        if here == most:
            if equals < len(examples):
                examples[equals] = counts[slot, first]
            equals += 1
    return hashes, total, most, equals


@entry
def look_up(counts: Counts, entries: Entries, field: int, totals: Table[np.int64]) -> None:
    """Writes how often a field's hash is on the left and on the right to `totals`, of shape (n, 2), if it is there."""
    for index in range(len(entries)):
        slot = slot_of(counts, entries[index, field])
        if counts[slot, LEFT] or counts[slot, RIGHT]:
            totals[index, 0] = counts[slot, LEFT]
            totals[index, 1] = counts[slot, RIGHT]
