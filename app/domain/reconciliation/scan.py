"""Reading a side by its bytes: hashes of all its rows at first, later the records of the few that are asked for."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.buffer import BYTE_ORDER_MARK, Buffer, HeldRows
from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of
from app.domain.reconciliation.kernels.scanning import (
    FULL,
    INDEXED,
    MALFORMED,
    Layout,
    Scanned,
    hash_records,
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """What a whole reading of a side tells: its rows, the sum of their second hashes, where each 64th begins."""

    rows: int
    check: int
    index: NDArray[np.int64]


class Reading:
    """How far the reading of a side is."""

    def __init__(self) -> None:
        self.rows = -1  # the header is read as the row before the first
        self.offset = 0  # of the buffer's start in the file
        self._check = 0
        self._index: list[NDArray[np.int64]] = []

    def add(self, scanned: Scanned, count: int, buffer_start: int) -> Scanned:
        """Counts the rows that were scanned; gives them without the header."""
        found = scanned.part(1 if self.rows < 0 < count else 0, count)
        self.rows += count - len(found.starts)
        self._check += int(found.checks.sum(dtype=np.uint64))
        self._index.append(found.starts[-self.rows % INDEXED :: INDEXED] - buffer_start + self.offset)
        self.rows += len(found.starts)
        return found

    def extent(self) -> Extent:
        index = np.concatenate([*self._index, np.empty(0, np.int64)])
        return Extent(rows=max(self.rows, 0), check=self._check % 2**64, index=index)


class SideScanner:
    """One side; `layout` says what its hashes are made of."""

    def __init__(self, *, source: RowSource, layout: Layout, thresholds: Thresholds, meter: Meter) -> None:
        self._source = source
        self._layout = layout
        self._meter = meter
        wanted = source.side.size_bytes // _BLOCKS
        self._step = min(max(wanted, _SMALL_BLOCK_BYTES), thresholds.block_bytes)
        self._room = new_scanned(thresholds.block_rows)

    def read(self, take: Callable[[Scanned], None], held_rows: HeldRows, *, most_bytes: int = sys.maxsize) -> Extent:
        """Hashes all rows, or those of the first bytes, some at a time, and holds them where there is room.

        Raises: MalformedError; ComparisonCancelledError.
        """
        reading = Reading()
        buffer = held_rows.buffer or Buffer(self._step)
        held = start = 0
        with self._source.side.open() as stream:
            while True:
                limit = min(held + self._step, buffer.size)
                size = buffer.fill(stream, held, limit)
                self._meter.advance(size - held)
                last = size < limit
                end = buffer.end_of_line(start, size, last=last)
                if not buffer.is_utf8(start, end):
                    raise self._refusal()
                if not held and not reading.offset and buffer.bytes[: len(BYTE_ORDER_MARK)] == BYTE_ORDER_MARK:
                    start = len(BYTE_ORDER_MARK)
                start, ended = self._scan(buffer, (start, end), reading, take, held_rows)
                if ended == MALFORMED or (last and start < end):
                    raise self._refusal()
                if last or reading.offset + size >= most_bytes:
                    break
                held = size
                if not held_rows.fits or size == buffer.size:
                    held_rows.drop()
                    reading.offset += start
                    held, start = buffer.keep(start, size), 0
                    buffer = self._with_room(buffer, held)
        return reading.extent()

    def hash_cells(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Both hashes of whole records by their cells, wherever they are."""
        scanned = new_scanned(len(starts))
        aside = np.empty((2, int((ends - starts).max(initial=0)) + PADDING_BYTES), np.uint8)
        hash_records(starts, ends, self._layout, scanned, address_of(aside[0]), address_of(aside[1]))
        self._decide(scanned, len(starts))
        return scanned.rows.view(np.int64), scanned.checks.view(np.int64)

    def _scan(
        self,
        buffer: Buffer,
        stretch: tuple[int, int],
        reading: Reading,
        take: Callable[[Scanned], None],
        held_rows: HeldRows,
    ) -> tuple[int, int]:
        """Reads the records of a stretch of the buffer; gives where it stopped, and how it ended."""
        start, end = stretch
        ended = FULL
        texts, scratch = buffer.aside(end - start)
        while ended == FULL:
            count, place, ended = scan(
                buffer.start + start, buffer.start + end, self._layout, self._room, texts, scratch
            )
            start = place - buffer.start
            self._decide(self._room, count)
            if reading.rows < 0 < count:
                self._check_header(bytes_at(int(self._room.starts[0]), int(self._room.ends[0])))
            found = reading.add(self._room, count, buffer.start)
            take(found)
            held_rows.add(found)
            self._meter.check()
        return start, ended

    def pick(
        self, numbers: NDArray[np.int64], index: NDArray[np.int64], *, by_line: bool = False, weight: float = 0.0
    ) -> Iterator[tuple[NDArray[np.int64], Scanned]]:
        """Reads the records of these rows, which ascend; their addresses are good until the next step."""
        buffer, done = Buffer(self._step), 0
        with self._source.side.open() as stream:
            while done < len(numbers):
                self._meter.check()
                offset = int(index[numbers[done] // INDEXED])
                stream.seek(offset)
                size = buffer.fill(stream, 0, buffer.size)
                self._meter.advance(size * weight)
                end = buffer.end_of_line(0, size, last=size < buffer.size)
                reach = np.searchsorted(index, offset + end) * INDEXED
                wanted = numbers[done : np.searchsorted(numbers, reach)]
                scanned = new_scanned(len(wanted))
                texts, scratch = buffer.aside(end)
                count = pick(
                    (buffer.start, buffer.start + end, offset),
                    self._layout,
                    wanted,
                    index,
                    by_line,
                    scanned,
                    texts,
                    scratch,
                )
                self._decide(scanned, count)
                if count:
                    yield wanted[:count], scanned.part(0, count)
                elif size < buffer.size:
                    raise self._refusal()
                else:
                    buffer = Buffer(buffer.size * 2)
                done += count

    def _decide(self, scanned: Scanned, count: int) -> None:
        """Hashes the rows that have a cell whose canonical text only Python knows."""
        places = np.flatnonzero(scanned.undecided[:count]).tolist()
        if not places:
            return
        records = [bytes_at(int(scanned.starts[place]), int(scanned.ends[place])) for place in places]
        for place, cells in zip(places, records_of(records, self._source.side), strict=True):
            texts = [None if text is None else text.encode() for text in self._source.canonical(cells)]
            hash_row(texts, self._layout, scanned, place)

    def _with_room(self, buffer: Buffer, held: int) -> Buffer:
        """A larger buffer where half of this one is held by one record; a usual one where it was larger."""
        if held <= buffer.size // 2 and buffer.size <= self._step:
            return buffer
        if held > LONGEST_RECORD_BYTES:
            raise self._refusal()
        other = Buffer(max(held * 2, self._step))
        other.bytes[:held] = buffer.bytes[:held]
        return other

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
