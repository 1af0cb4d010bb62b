"""Records on their way to and from disk: each behind what is known of it, in steps of eight bytes."""

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.kernel import entry
from app.domain.reconciliation.kernels.matching import FIELDS, GROUP, NUMBER, ROW, Entries
from app.domain.reconciliation.kernels.memory import Address, copy, put_word, word_at

HEAD_BYTES = 8 * (FIELDS + 2)  # an entry, a note, and the record's length


@entry
def frame(
    entries: Entries, notes: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], first: int,
    field: int, shift: int, hands: Address, capacity: int, held: NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """Deals records from `first` on to hands of so many bytes by the highest bits of a field of their entries.

    Gives the place of the record that has no room, and its partition; -1 where all are dealt out.
    """
    for index in range(first, len(entries)):
        length = int(ends[index] - starts[index])
        size = HEAD_BYTES + ((length + 7) & ~7)
        partition = int(np.int64(np.uint64(entries[index, field]) >> np.uint64(shift)))
        if held[partition] + size > capacity:
            return index, partition
        target = hands + partition * capacity + held[partition]
        put_word(target, np.uint64(entries[index, GROUP]))
        put_word(target + 8, np.uint64(entries[index, ROW]))
        put_word(target + 16, np.uint64(entries[index, NUMBER]))
        put_word(target + 24, np.uint64(notes[index]))
        put_word(target + 32, np.uint64(length))
        copy(starts[index], ends[index], target + HEAD_BYTES)
        held[partition] += size
    return len(entries), -1


@entry
def unframe(
    start: Address, entries: Entries, notes: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> None:
    """Finds the records that were framed, one behind the other."""
    for index in range(len(entries)):
        entries[index, GROUP] = np.int64(word_at(start))
        entries[index, ROW] = np.int64(word_at(start + 8))
        entries[index, NUMBER] = np.int64(word_at(start + 16))
        notes[index] = np.int64(word_at(start + 24))
        length = int(np.int64(word_at(start + 32)))
        starts[index] = start + HEAD_BYTES
        ends[index] = starts[index] + length
        start += HEAD_BYTES + ((length + 7) & ~7)
