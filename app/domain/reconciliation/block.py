"""Many differences of one kind at once: counted by arrays, written by a kernel; the samples alone become objects."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of
from app.domain.reconciliation.kernels.records import new_work
from app.domain.reconciliation.kernels.resolving import Apart, lowest
from app.domain.reconciliation.kernels.scanning import Layout
from app.domain.reconciliation.kernels.writing import Names, write_lines
from app.domain.reconciliation.records import record_of, records_of
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.scan import bytes_at
from app.domain.reconciliation.tally import BlockSink, Occurrence, Tally

_NUMBER_BYTES = 80  # of the kind and the three counts of a line, at most


# Equal rows, the left and the right one, how often the key stands on each side, and which cells differ.
_Difference = tuple[int, Occurrence | None, Occurrence | None, tuple[int, int], list[int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Arrays of one length n: row numbers, and the records' addresses (0 where a side has none), left and right.

    `counts`, of shape (n, 3): equal rows, and how often the key (without keys, the row) is on the left and on the
    right. `changed`, of shape (n, columns): which cells differ; `apart` sums that up.
    """

    kind: DifferenceKind
    numbers: tuple[NDArray[np.int64], NDArray[np.int64]]
    starts: tuple[NDArray[np.int64], NDArray[np.int64]]
    ends: tuple[NDArray[np.int64], NDArray[np.int64]]
    counts: NDArray[np.int64]
    changed: NDArray[np.bool_]
    apart: Apart

    def longest(self) -> int:
        return max(int((ends - starts).max()) for starts, ends in zip(self.starts, self.ends, strict=True))


class BlockReader:
    """Takes blocks into a tally."""

    def __init__(self, *, sources: tuple[RowSource, RowSource], layouts: tuple[Layout, Layout], tally: Tally) -> None:
        self._sources = sources
        self._layouts = layouts
        self._tally = tally
        keys = list(sources[0].keys)
        values = [place for place in range(len(sources[0].places)) if place not in keys]
        self._keys, self._values = np.array(keys, np.int64), np.array(values, np.int64)
        self._order = np.array([*keys, *values], np.int64)
        names = [name.encode() for name in tally.left_names()]
        escaped = [name.replace(b'"', b'""') for name in names]
        self._name_text = np.frombuffer(b"".join(escaped) + bytes(PADDING_BYTES), np.uint8)
        self._names = Names(
            text=address_of(self._name_text),
            ends=np.cumsum([len(name) for name in escaped]),
            quoted=np.array([name != name.strip() or any(mark in name for mark in b',"\n\r') for name in names]),
        )

    def take(self, block: Block, lock: threading.Lock) -> None:
        """What takes long is done outside of the lock."""
        if block.kind is DifferenceKind.COMMON:
            with lock:
                self._take_common(block)
            return
        text = self._lines(block) if isinstance(self._tally.sink, BlockSink) else None
        with lock:
            worst = self._worst(block)
        chosen = self._lowest(block, worst)
        with lock:
            rows = int(block.counts[:, 0].sum())
            differing, greatest = (column.tolist() for column in block.apart)
            self._tally.add(block.kind, rows, changed=differing, greatest=greatest)
            for difference in self._differences(block, chosen):
                self._tally.sample(block.kind, *difference)
            if text is not None and isinstance(self._tally.sink, BlockSink):
                self._tally.sink.write_block(text, len(block.counts))
            elif self._tally.sink is not None:
                for difference in self._differences(block, range(len(block.counts))):
                    self._tally.tell(block.kind, *difference)

    def _take_common(self, block: Block) -> None:
        """Pairs within the tolerance; of their samples those that come first on the left."""
        first = np.argsort(block.numbers[0], kind="stable")[: self._tally.sample_limit]
        first = first[block.numbers[0][first] <= self._tally.last_common_sample()]
        self._tally.add_common(len(block.counts) - len(first))
        for rows, left, right, counts, _ in self._differences(block, first.tolist()):
            if left is not None and right is not None:
                self._tally.common(rows, left, right, counts)

    def _differences(self, block: Block, places: Sequence[int]) -> Iterator[_Difference]:
        """Some of a block as the tally takes them."""
        lefts, rights = (self._occurrences(block, side, places) for side in range(2))
        for place, left, right in zip(places, lefts, rights, strict=True):
            rows, on_left, on_right = block.counts[place].tolist()
            changed = np.flatnonzero(block.changed[place]).tolist()
            yield rows, left, right, (on_left, on_right), changed

    def _occurrences(self, block: Block, side: int, places: Sequence[int]) -> Iterator[Occurrence | None]:
        if not len(places) or not block.starts[side][places[0]]:  # a block has records of this side, or none
            yield from repeat(None, len(places))
            return
        source = self._sources[side]
        starts, ends = block.starts[side][places].tolist(), block.ends[side][places].tolist()
        records = records_of(list(map(bytes_at, starts, ends)), source.side)
        for number, cells in zip(block.numbers[side][places].tolist(), records, strict=True):
            _, _, canonical, written = source.row(number, cells)
            yield Occurrence(number, canonical, written)

    def _worst(self, block: Block) -> bytes:
        """The last sample of this kind as a record, where there are as many as wanted; else nothing."""
        worst = self._tally.worst_sample(block.kind)
        if worst is None:
            return b""
        side = 1 if worst.left is None else 0
        cells = worst.left if worst.left is not None else worst.right or ()
        source = self._sources[side]
        return record_of(dict(zip(source.places, cells, strict=True)), len(source.header), source.side)

    def _lowest(self, block: Block, worst: bytes) -> list[int]:
        """The records that may be among the samples."""
        side = 1 if block.kind is DifferenceKind.RIGHT_ONLY else 0
        bound = np.frombuffer(worst + bytes(PADDING_BYTES), np.uint8)
        start = address_of(bound) if worst else 0
        work, _room = new_work(len(self._order), max(block.longest(), len(worst)))
        held, unsure = np.empty(self._tally.sample_limit + 1, np.int64), np.empty(len(block.counts), np.int64)
        count, doubtful = lowest(
            block.starts[side],
            block.ends[side],
            self._layouts[side],
            self._order,
            (start, start + len(worst)),
            work,
            held,
            unsure,
        )
        return [*held[:count].tolist(), *unsure[:doubtful].tolist()]

    def _lines(self, block: Block) -> memoryview:
        lengths = sum(int((ends - starts).sum()) for starts, ends in zip(block.starts, block.ends, strict=True))
        a_line = _NUMBER_BYTES + 8 * len(self._order) + int(self._names.ends[-1]) + len(self._order)
        target = np.empty(2 * lengths + a_line * len(block.counts) + PADDING_BYTES, np.uint8)
        kind = np.frombuffer(block.kind.value.encode() + bytes(PADDING_BYTES), np.uint8)
        start = address_of(kind)
        work, _room = new_work(len(self._order), block.longest())
        end = write_lines(
            (start, start + len(kind) - PADDING_BYTES),
            (block.starts[0], block.ends[0], block.starts[1], block.ends[1]),
            self._layouts,
            block.counts,
            block.changed,
            self._names,
            self._keys,
            self._values,
            work,
            address_of(target),
        )
        return target[: end - address_of(target)].data
