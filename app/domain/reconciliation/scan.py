"""Reading a side by its bytes: hashes of all its rows at first, later the records of the few that are asked for."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of
from app.domain.reconciliation.kernels.scanning import (
    FULL,
    INDEXED,
    MALFORMED,
    Layout,
    Scanned,
    hash_texts,
    new_scanned,
    pick,
    scan,
)
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import LONGEST_RECORD_BYTES, MalformedError, Records, records_of
from app.domain.reconciliation.rows import RowSource

_SMALL_BLOCK_BYTES = 64 << 10
_BLOCKS = 16  # at least, where the file is not tiny: each is a step of the progress
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """What a whole reading of a side tells: its rows, the sum of their second hashes, where each 64th begins."""

    rows: int
    check: int
    index: NDArray[np.int64]


class Block:
    """A stretch of a file in memory, with room behind it, and addresses for the kernels."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size + PADDING_BYTES)
        self.size = size
        self._array = np.frombuffer(self.bytes, np.uint8)
        self.start = address_of(self._array)
        # texts without their double quotes, and canonical texts: each as long as a cell can be
        self._aside = np.empty((2, size + PADDING_BYTES), np.uint8)
        self.texts, self.scratch = address_of(self._aside[0]), address_of(self._aside[1])

    def fill(self, stream: BinaryIO, held: int) -> int:
        """Reads behind what is held, until it is full or the file is at its end; gives how much there is."""
        view = memoryview(self.bytes)
        while held < self.size and (read := stream.readinto(view[held : self.size])):  # type: ignore[attr-defined] # typeshed's BinaryIO lacks it
            held += read
        return held

    def keep(self, start: int, end: int) -> int:
        """Moves a stretch to the front; gives its length."""
        self.bytes[: end - start] = self.bytes[start:end]
        return end - start

    def is_utf8(self, end: int) -> bool:
        if end == 0 or self._array[:end].max() < 0x80:  # noqa: PLR2004 - ASCII
            return True
        try:
            str(memoryview(self.bytes)[:end], "utf-8")
        except UnicodeDecodeError:
            return False
        return True


class SideScanner:
    """One side; `layout` says what its hashes are made of."""

    def __init__(self, *, source: RowSource, layout: Layout, thresholds: Thresholds, meter: Meter) -> None:
        self._source = source
        self._layout = layout
        self._thresholds = thresholds
        self._meter = meter

    def read(self, take: Callable[[Scanned], None]) -> Extent:
        """Hashes all rows, some at a time. Raises: MalformedError; ComparisonCancelledError."""
        block, scanned = self._new_block(), new_scanned(self._thresholds.block_rows)
        rows, check, offset, held, start = -1, 0, 0, 0, 0  # the header is read as the row before the first
        index: list[NDArray[np.int64]] = []
        with self._source.side.open() as stream:
            while size := block.fill(stream, held):
                self._meter.advance(size - held)
                last = size < block.size
                end = block.bytes.rfind(b"\n", 0, size) + 1
                if last and end < size:
                    block.bytes[size] = ord("\n")
                    end = size + 1
                if not block.is_utf8(end):
                    raise self._refusal()
                if not offset and block.bytes.startswith(_MARK):
                    start = len(_MARK)
                ended = FULL
                while ended == FULL:
                    count, place, ended = scan(
                        block.start + start, block.start + end, self._layout, scanned, block.texts, block.scratch
                    )
                    self._decide(scanned, count)
                    skipped = 1 if rows < 0 < count else 0
                    if skipped:
                        self._check_header(bytes_at(int(scanned.starts[0]), int(scanned.ends[0])))
                    found = scanned.part(skipped, count)
                    rows += skipped
                    check += int(found.checks.sum(dtype=np.uint64))
                    indexed = found.starts[-rows % INDEXED :: INDEXED]
                    index.append(indexed - block.start + offset)
                    rows += len(found.starts)
                    take(found)
                    start = place - block.start
                    self._meter.check()
                if ended == MALFORMED or (last and start < end):
                    raise self._refusal()
                if last:
                    break
                offset += start
                held = block.keep(start, size)
                start = 0
                block = self._with_room(block, held)
        return Extent(rows=max(rows, 0), check=check % 2**64, index=np.concatenate([*index, np.empty(0, np.int64)]))

    def pick(
        self, numbers: NDArray[np.int64], index: NDArray[np.int64], *, by_line: bool = False, weight: float = 0.0
    ) -> Iterator[tuple[NDArray[np.int64], Scanned]]:
        """Reads the records of these rows, which ascend; their addresses are good until the next step."""
        block, done = self._new_block(), 0
        with self._source.side.open() as stream:
            while done < len(numbers):
                self._meter.check()
                offset = int(index[numbers[done] // INDEXED])
                stream.seek(offset)
                size = block.fill(stream, 0)
                self._meter.advance(size * weight)
                end = block.bytes.rfind(b"\n", 0, size) + 1
                if size < block.size and end < size:
                    block.bytes[size] = ord("\n")
                    end = size + 1
                reach = np.searchsorted(index, offset + end) * INDEXED
                wanted = numbers[done : np.searchsorted(numbers, reach)]
                scanned = new_scanned(len(wanted))
                count = pick(
                    (block.start, block.start + end, offset),
                    self._layout,
                    wanted,
                    index,
                    by_line,
                    scanned,
                    block.texts,
                    block.scratch,
                )
                self._decide(scanned, count)
                if count:
                    yield wanted[:count], scanned.part(0, count)
                elif size < block.size:
                    raise self._refusal()
                else:
                    block = Block(block.size * 2)
                done += count

    def _new_block(self) -> Block:
        wanted = self._source.side.size_bytes // _BLOCKS
        return Block(min(max(wanted, _SMALL_BLOCK_BYTES), self._thresholds.block_bytes))

    def _decide(self, scanned: Scanned, count: int) -> None:
        """Hashes the rows that have a cell whose canonical text only Python knows."""
        places = np.flatnonzero(scanned.undecided[:count]).tolist()
        if not places:
            return
        records = [bytes_at(int(scanned.starts[place]), int(scanned.ends[place])) for place in places]
        for place, cells in zip(places, records_of(records, self._source.side), strict=True):
            texts = [None if text is None else text.encode() for text in self._source.canonical(cells)]
            hash_row(texts, self._layout, scanned, place)

    def _with_room(self, block: Block, held: int) -> Block:
        """A larger block where half of this one is held by one record."""
        if held <= block.size // 2:
            return block
        if held > LONGEST_RECORD_BYTES:
            raise self._refusal()
        larger = Block(block.size * 2)
        larger.bytes[:held] = block.bytes[:held]
        return larger

    def _refusal(self) -> MalformedError:
        """What `records` has against this side."""
        try:
            with Records(self._source.side, lambda _: self._meter.check()) as records:
                for _ in records:
                    pass
        except MalformedError as error:
            return error
        return self._changed()

    def _check_header(self, record: bytes) -> None:
        if tuple(next(records_of([record], self._source.side))) != self._source.header:
            raise self._changed()

    def _changed(self) -> MalformedError:
        return MalformedError(self._source.side.name, 1, "the file changed while it was compared: start again.")


def hash_row(texts: Sequence[bytes | None], layout: Layout, scanned: Scanned, place: int) -> None:
    """Hashes canonical texts, in the mapping's order, into a place of `scanned`."""
    joined = np.frombuffer(b"".join(text or b"" for text in texts) + bytes(PADDING_BYTES), np.uint8)
    lengths = np.array([len(text or b"") for text in texts], np.int64)
    lasts = address_of(joined) + np.cumsum(lengths)
    firsts = np.where(np.array([text is None for text in texts]), 0, lasts - lengths)
    hash_texts(firsts, lasts, layout, scanned, place)


def bytes_at(start: int, end: int) -> bytes:
    return ctypes.string_at(start, end - start)
