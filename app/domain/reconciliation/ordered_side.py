"""A side whose records are in order, read once from its beginning to its end with some of them in memory at a time."""

from app.domain.reconciliation.buffer import BYTE_ORDER_MARK, Buffer
from app.domain.reconciliation.kernels.in_step import Order, Run, is_in_order, new_run, read_run
from app.domain.reconciliation.kernels.records import new_work
from app.domain.reconciliation.kernels.scanning import FULL, MALFORMED, Layout
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import records_of
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.scan import bytes_at

_BLOCKS = 4  # in memory


class OrderedSide:
    """`refill`, look at `waiting`, `settle` what is done with; until `is_done`, or no longer `in_order`."""

    def __init__(
        self, *, source: RowSource, layout: Layout, order: Order, thresholds: Thresholds, meter: Meter
    ) -> None:
        self.source = source
        self.layout = layout
        self.buffer = Buffer(thresholds.block_bytes * _BLOCKS)
        self.in_order = True  # no longer where it is broken, malformed, or where a record is as long as the buffer
        self.complete = False  # everything is read
        self.settled = 0  # rows, and the number of the first that is waiting
        self._order = order
        self._column = source.places[order.places[0]]
        self._meter = meter
        self._stream = source.side.open()
        self._run = new_run(thresholds.block_rows * _BLOCKS)
        self._count = 0  # records in the run
        self._done = 0  # of them
        self._read_to = 0  # in the buffer: behind the last record of the run
        self._size = 0  # of what is in the buffer
        self._at_end = False
        self._is_begun = False  # the header is read
        self._work, self._room = new_work(len(layout.keys), self.buffer.size)

    def waiting(self) -> Run:
        """The records that are not settled."""
        return self._run.part(self._done, self._count)

    def is_done(self) -> bool:
        return self.complete and self._done == self._count

    def settle(self, count: int) -> None:
        """The first ones of those that wait are no longer wanted."""
        self._done += count
        self.settled += count

    def refill(self) -> None:
        """Reads on where at most half of the records still wait. Raises: ComparisonCancelledError."""
        self._meter.check()
        if not self._is_begun:
            self._begin()
        if not self.in_order or self.complete or self._done * 2 < self._count:
            return
        self._make_room()
        self._fill()
        self._read()

    def close(self) -> None:
        self._stream.close()

    def _begin(self) -> None:
        """Reads the header."""
        self._is_begun = True
        self._fill()
        self._read_to = len(BYTE_ORDER_MARK) if self.buffer.bytes[: len(BYTE_ORDER_MARK)] == BYTE_ORDER_MARK else 0
        header = new_run(1)
        start, end = self._stretch()
        count, _ = self._read_into(header, start, end)
        self.in_order = bool(count) and self._is_header(bytes_at(int(header.starts[0]), int(header.ends[0])))

    def _is_header(self, record: bytes) -> bool:
        return tuple(next(records_of([record], self.source.side))) == self.source.header

    def _make_room(self) -> None:
        """Moves what waits to the front, and at least the last record, which the next one has to come behind."""
        first = min(self._done, max(self._count - 1, 0))
        start = int(self._run.starts[first]) - self.buffer.start if self._count else self._read_to
        kept = self._count - first
        for column, moved in ((self._run.starts, start), (self._run.ends, start), (self._run.integers, 0)):
            column[:kept] = column[first : self._count] - moved
        self.buffer.keep(start, self._size)
        self._count, self._done = kept, self._done - first
        self._size -= start
        self._read_to -= start

    def _fill(self) -> None:
        if self._at_end:
            return
        size = self.buffer.fill(self._stream, self._size, self.buffer.size)
        self._meter.advance(size - self._size)
        self._at_end = size < self.buffer.size
        self._size = size

    def _read(self) -> None:
        start, end = self._stretch()
        if not self.buffer.is_utf8(start, end):
            self.in_order = False
            return
        count, ended = self._read_into(self._run.part(self._count, len(self._run.starts)), start, end)
        known = max(self._count - 1, 0)
        self._count += count
        self.complete = self._at_end and ended != FULL
        unread = self.complete and self._read_to < end
        stuck = not self.complete and self._done == self._count
        self.in_order = (
            ended != MALFORMED
            and not unread
            and not stuck
            and is_in_order(self._run.part(known, self._count), self.layout, self._order, self._work)
        )

    def _read_into(self, run: Run, start: int, end: int) -> tuple[int, int]:
        """How many records of a stretch of the buffer were read, and how that ended."""
        buffer = self.buffer.start
        count, place, ended = read_run(buffer + start, buffer + end, self.layout, self._column, run)
        self._read_to = place - buffer
        return count, ended

    def _stretch(self) -> tuple[int, int]:
        """Whole lines that are not read yet."""
        end = self.buffer.end_of_line(self._read_to, self._size, last=self._at_end)
        self._size = max(self._size, end)  # the last line of the file may have got its end
        return self._read_to, end
