"""One reading of CSV records by bytes: for each the hash of its mapped cells, of its key, and where it begins.

The grammar is that of `records`, and so are the refusals: where a record breaks it the kernel stops, and who called it
has `records` find the words.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.cells import Cell, behind_blank_line, next_cell, skip_record, unquote
from app.domain.reconciliation.kernels.hashing import Seeds, finish, hashes, null_hashes
from app.domain.reconciliation.kernels.kernel import entry, inner
from app.domain.reconciliation.kernels.marks import CARRIAGE_RETURN, IN_PLACE, NEWLINE, NULL, QUOTE, UNDECIDED
from app.domain.reconciliation.kernels.memory import Address, are_digits, byte_at, look_along
from app.domain.reconciliation.kernels.texts import canonical, is_number, is_plain_text

INDEXED = 64  # every so many records their place is kept
# How a reading ended: well, at the block's end, at a broken record, with no room for more.
READ, DONE, MALFORMED, FULL = 0, 1, 2, 3
BY_KEY, BY_TEXT = 0, 1  # what makes a group: the key's cells, or all that is no number (a tolerance does not reach it)


class Layout(NamedTuple):
    """How to read a side.

    Its delimiter, its columns' places in the mapping (-1: not mapped), which places are keys (without keys all are: the
    group is the row), whether rows are told apart by their lines as they are written, the last key's column, what
    makes a group, and the options of `texts`.
    """

    delimiter: int
    slots: NDArray[np.int64]
    keys: NDArray[np.bool_]
    keyed: bool
    by_line: bool
    last_key: int
    grouping: int
    options: int
    seeds: Seeds


class Scanned(NamedTuple):
    """What is written of each record: hash of its cells, a second one, hash of its group, where it begins and ends."""

    rows: NDArray[np.uint64]
    checks: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    undecided: NDArray[np.bool_]

    def part(self, start: int, end: int) -> "Scanned":
        return Scanned(
            rows=self.rows[start:end],
            checks=self.checks[start:end],
            groups=self.groups[start:end],
            starts=self.starts[start:end],
            ends=self.ends[start:end],
            undecided=self.undecided[start:end],
        )


def new_scanned(capacity: int) -> Scanned:
    return Scanned(
        rows=np.empty(capacity, np.uint64),
        checks=np.empty(capacity, np.uint64),
        groups=np.empty(capacity, np.uint64),
        starts=np.empty(capacity, np.int64),
        ends=np.empty(capacity, np.int64),
        undecided=np.empty(capacity, np.bool_),
    )


@inner
def _is_canonical(start: Address, end: Address) -> bool:
    """Whether a text is seen at a glance to be its own canonical text: most plain texts and short integers are."""
    if start == end or is_plain_text(byte_at(start)):
        return True
    return end - start <= 8 and are_digits(start, end)


@inner
def _cell_hashes(
    cell: Cell, seeds: tuple[np.uint64, np.uint64], options: int, grouping: int, texts: Address, scratch: Address
) -> tuple[np.uint64, np.uint64, bool, bool]:
    """The two hashes of a mapped cell; whether it is a number (asked only where that makes groups), or undecided.

    It is given no arrays: to pass one costs more than all that is done here.
    """
    one, other = seeds
    first, last = cell.start, cell.end
    if not cell.quoted and first == last:
        one, other = null_hashes(one, other)
        return one, other, False, False
    if cell.doubled:
        first, last = texts, unquote(first, last, texts)
    where = IN_PLACE
    if options or not _is_canonical(first, last):
        where, first, last = canonical(first, last, scratch, options)
    if where >= NULL:
        one, other = null_hashes(one, other)
        return one, other, False, where == UNDECIDED
    number = grouping == BY_TEXT and is_number(first, last)
    one, other = hashes(first, last, one, other)
    return one, other, number, False


@inner
def _line_hashes(start: Address, after: Address, one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The two hashes of a record as it is written, without what ends its line."""
    end = after - 1
    if end > start and byte_at(end - 1) == CARRIAGE_RETURN:
        end -= 1
    row, check = hashes(start, end, one, other)
    return finish(row), finish(check)


@inner
def read_record(
    start: Address, end: Address, layout: Layout, scanned: Scanned, place: int, texts: Address, scratch: Address
) -> tuple[int, Address]:
    """Writes what is to know of the record at `start` to a place of `scanned`; how that went, and what is behind it."""
    width = len(layout.slots)
    last_seeds = len(layout.seeds) - 1
    seed, check_seed = layout.seeds[last_seeds, 0], layout.seeds[last_seeds, 1]
    row, check, group = seed, check_seed, seed
    undecided = False
    column = 0
    address = start
    while True:
        cell = next_cell(address, end, layout.delimiter)
        if cell.after < 0:
            return (DONE if cell.after == -1 else MALFORMED), start
        if column == width:
            return MALFORMED, start
        slot = layout.slots[column]
        if slot >= 0:
            seeds = (layout.seeds[slot, 0], layout.seeds[slot, 1])
            one, other, number, unknown = _cell_hashes(cell, seeds, layout.options, layout.grouping, texts, scratch)
            undecided |= unknown
            row += one
            check += other
            if layout.grouping == BY_KEY:
                if layout.keys[slot]:
                    group += one
            else:
                group += layout.seeds[slot, 0] if number else one
        column += 1
        address = cell.after + 1
        if byte_at(cell.after) == NEWLINE:
            break
    if column != width:
        return MALFORMED, start
    scanned.rows[place] = finish(row)
    scanned.checks[place] = finish(check)
    scanned.groups[place] = finish(group)
    scanned.starts[place] = start
    scanned.ends[place] = address
    scanned.undecided[place] = undecided
    return READ, address


@inner
def behind_record(start: Address, end: Address, layout: Layout) -> tuple[int, Address]:
    """What is behind a record that may have quotes, and whether it is well formed."""
    address, columns = start, 0
    while True:
        cell = next_cell(address, end, layout.delimiter)
        if cell.after < 0:
            return (DONE if cell.after == -1 else MALFORMED), start
        columns += 1
        address = cell.after + 1
        if byte_at(cell.after) == NEWLINE:
            return (READ if columns == len(layout.slots) else MALFORMED), address


@inner
def _read_line(
    start: Address, end: Address, layout: Layout, scanned: Scanned, place: int, texts: Address, scratch: Address
) -> tuple[int, Address]:
    """As `read_record`, but the row's hashes are those of its line: only the key's cells are looked into."""
    line_end, delimiters, quotes = look_along(start, NEWLINE, layout.delimiter, QUOTE)
    after = line_end + 1
    if quotes:
        ended, after = behind_record(start, end, layout)
        if ended != READ:
            return ended, start
    elif delimiters + 1 != len(layout.slots):
        return MALFORMED, start
    last_seeds = len(layout.seeds) - 1
    row, check = _line_hashes(start, after, layout.seeds[last_seeds, 0], layout.seeds[last_seeds, 1])
    group = layout.seeds[last_seeds, 0]
    address = start
    for column in range(layout.last_key + 1):
        cell = next_cell(address, end, layout.delimiter)
        slot = layout.slots[column]
        if slot >= 0 and layout.keys[slot]:
            seeds = (layout.seeds[slot, 0], layout.seeds[slot, 1])
            one, _, _, _ = _cell_hashes(cell, seeds, layout.options, layout.grouping, texts, scratch)
            group += one
        address = cell.after + 1
    scanned.rows[place] = row
    scanned.checks[place] = check
    scanned.groups[place] = finish(group)
    scanned.starts[place] = start
    scanned.ends[place] = after
    scanned.undecided[place] = False
    return READ, after


@entry
def hash_texts(
    firsts: NDArray[np.int64], lasts: NDArray[np.int64], layout: Layout, scanned: Scanned, place: int
) -> None:
    """The hashes of a record whose canonical texts are known, by their places in the mapping (0: NULL)."""
    last_seeds = len(layout.seeds) - 1
    row, check = layout.seeds[last_seeds, 0], layout.seeds[last_seeds, 1]
    group = row
    for slot in range(len(firsts)):
        one, other = layout.seeds[slot, 0], layout.seeds[slot, 1]
        first, last = firsts[slot], lasts[slot]
        one_hash, other_hash = null_hashes(one, other) if not first else hashes(first, last, one, other)
        row += one_hash
        check += other_hash
        if layout.grouping == BY_KEY:
            if layout.keys[slot]:
                group += one_hash
        else:
            group += one if first and is_number(first, last) else one_hash
    scanned.rows[place] = finish(row)
    scanned.checks[place] = finish(check)
    scanned.groups[place] = finish(group)


@entry
def scan(
    start: Address, end: Address, layout: Layout, scanned: Scanned, texts: Address, scratch: Address
) -> tuple[int, Address, int]:
    """Reads records into `scanned`: how many, where the first one begins that is not among them, and how it ended.

    `texts` and `scratch` have room for the longest cell, and 64 bytes more.
    """
    capacity = len(scanned.rows)
    skips_blank = len(layout.slots) > 1
    address, count = start, 0
    while address < end:
        if skips_blank:
            behind = behind_blank_line(address)
            if behind:
                address = behind
                continue
        if count == capacity:
            return count, address, FULL
        if layout.by_line:
            ended, address = _read_line(address, end, layout, scanned, count, texts, scratch)
        else:
            ended, address = read_record(address, end, layout, scanned, count, texts, scratch)
        if ended != READ:
            return count, address, ended
        count += 1
    return count, address, DONE


@entry
def pick(
    block: tuple[Address, Address, int],
    layout: Layout,
    numbers: NDArray[np.int64],
    index: NDArray[np.int64],
    by_line: bool,
    scanned: Scanned,
    texts: Address,
    scratch: Address,
) -> int:
    """Reads the records of these numbers, which ascend, as long as they end within the block; gives how many.

    The block is its start, its end, and the start's place in the file; `index` has the place in the file of every
    `INDEXED`th record.
    """
    start, end, offset = block
    skips_blank = len(layout.slots) > 1
    address, number = start, np.int64(-1)
    for done in range(len(numbers)):
        wanted = numbers[done]
        if number < 0 or wanted // INDEXED > number // INDEXED:
            address = start + index[wanted // INDEXED] - offset
            number = wanted // INDEXED * INDEXED
        while True:
            if address >= end:
                return done
            behind = behind_blank_line(address) if skips_blank else 0
            if behind:
                address = behind
            elif number < wanted:
                behind = skip_record(address, end, layout.delimiter)
                if not behind:
                    return done
                address = behind
                number += 1
            else:
                break
        if by_line:
            ended, address = _read_line(address, end, layout, scanned, done, texts, scratch)
        else:
            ended, address = read_record(address, end, layout, scanned, done, texts, scratch)
        if ended != READ:
            return done
        number += 1
    return len(numbers)


@entry
def hash_records(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    layout: Layout,
    scanned: Scanned,
    texts: Address,
    scratch: Address,
) -> None:
    """Hashes whole records by their cells."""
    for index in range(len(starts)):
        read_record(starts[index], ends[index], layout, scanned, index, texts, scratch)
