"""The comparison of large sides, exact and in bounded memory, near the cost of reading the two files.

Sides in the same order are walked along in step (`in_step`). All others:

1. *Scan* (`scan`): each side is read once, both at the same time. A kernel parses the records by bytes, brings every
   mapped cell to its canonical text (`cells`), and keeps 64 bits of hash for each row and, with keys, for each key.
   These go to disk in partitions by the key's hash (without keys, the row's). Where both sides are written alike and
   have keys, a row's hash is that of its line, and only the key's cells are looked into: lines that are equal are equal
   rows, and the others are looked into later. It takes keys that stand once, and no other writing of most values; else
   the scan begins again.
2. *Match* (`matching`), partition by partition: keys (without keys, rows) that stand once on each side are joined; else
   the hashes of both sides are counted. What is on both sides is common; the rest is left over.
3. *Fetch* what is left over: sides of moderate size are held in memory as they are read (`buffer`), and each partition
   is settled as soon as it is matched; of larger ones the records are read again, and come together by their group
   (`residue`): the key; without keys, the row (with a tolerance, all of it that is no number: there a Bloom filter sets
   apart what has no group to go to). Rows without a key that stand once are settled as they are read (`left_over`).
4. *Resolve* (`resolving`): within each group the records are paired, as changed or within the tolerance, by all their
   cells; what remains is left-only and right-only.

Where a sample says that many keys differ (`prospect`), reading again would cost more than it saves: all records are set
aside at the first reading (`gathered_side`), and each partition goes through the other steps at one go.

Hashes: two rows that differ are called equal where their 64 bits agree. Every row has a second, independent hash; its
sum over the common rows of the left must be that of the right, or what was told is taken back, and the comparison
starts again with other seeds (where rows are set aside at once it ends with an error). So a wrong answer takes a
coincidence of 2**-64 on top of the first. Seeds are random: no file can be made to collide.

Memory: what is held of sides of moderate size; else the tables of one partition for each thread, a quarter of a byte
for each row, and the residue of one share of the partitions. Rows of one key stay together, so a key whose rows do not
fit does not either.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from app.domain.errors import UnavailableError
from app.domain.reconciliation.crew import Crew
from app.domain.reconciliation.gathered_side import GatheredSide
from app.domain.reconciliation.in_step import InStepComparison, common_order
from app.domain.reconciliation.kernels.hashing import Seeds, new_seeds
from app.domain.reconciliation.large_side import LargeSide, partition_bits_for
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import MATCH_WEIGHT, RESOLVE_WEIGHT, Meter
from app.domain.reconciliation.prospect import prospect
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.settlement import COLLISION, Settlement
from app.domain.reconciliation.tally import Tally

_ATTEMPTS = 3


class LargeComparison:
    def __init__(
        self,
        *,
        left: RowSource,
        right: RowSource,
        tally: Tally,
        pairing: Callable[[], Pairing],
        thresholds: Thresholds,
        spill_folder: Path,
        sample_limit: int,
        meter: Meter,
    ) -> None:
        self._sources = (left, right)
        self._tally = tally
        self._pairing = pairing
        self._spill_folder = spill_folder
        self._sample_limit = sample_limit
        self._thresholds = thresholds
        self._meter = meter
        self._size_bytes = left.side.size_bytes + right.side.size_bytes
        self._partition_bits = partition_bits_for(left.side, right.side, thresholds)
        largest = max(left.side.size_bytes, right.side.size_bytes)
        self._may_hold = largest <= thresholds.held_bytes and not left.grouped_by_text

    def run(self) -> None:
        """Raises: MalformedError, UnavailableError, ComparisonCancelledError."""
        lines_are_alike = self._lines_are_alike()
        if self._in_step(lines_are_alike=lines_are_alike):
            return
        by_line = lines_are_alike and bool(self._sources[0].keys) and not self._sources[0].options.ignore_case
        gather = False
        for attempt in range(_ATTEMPTS):
            seeds = new_seeds(len(self._sources[0].places))
            with ExitStack() as stack:
                crew = stack.enter_context(Crew(self._meter))
                if by_line and not self._may_hold and not attempt:
                    by_line, gather = self._prospect(seeds, crew)
                if gather:
                    done = self._gather(seeds, stack, crew)
                else:
                    done = self._attempt(seeds, stack, crew, by_line=by_line)
                if done:
                    return
                by_line = gather = False
                self._meter.expect(self._size_bytes * (1 + MATCH_WEIGHT))
        raise UnavailableError(COLLISION)

    def _lines_are_alike(self) -> bool:
        """Whether what is written the same is equal: then lines tell most of the equal rows, and cells need no look."""
        left, right = self._sources
        return (
            left.side.delimiter == right.side.delimiter
            and len(left.header) == len(right.header)
            and left.places == right.places
        )

    def _in_step(self, *, lines_are_alike: bool) -> bool:
        """Compares sides that are in the same order; False where they are not."""
        left, right = self._sources
        if not self._tally.can_rewind():
            return False
        order = common_order(left, right, rows=self._thresholds.ordered_rows)
        if order is None:
            return False
        comparison = InStepComparison(
            left=left,
            right=right,
            order=order,
            lines_are_alike=lines_are_alike,
            tally=self._tally,
            pairing=self._pairing,
            thresholds=self._thresholds,
            meter=self._meter,
        )
        if comparison.run():
            return True
        self._tally.rewind()
        self._meter.expect(self._size_bytes * (1 + MATCH_WEIGHT))
        return False

    def _prospect(self, seeds: Seeds, crew: Crew) -> tuple[bool, bool]:
        found = prospect(self._sources, seeds=seeds, thresholds=self._thresholds, meter=self._meter, crew=crew)
        self._meter.expect(self._size_bytes * (1 + RESOLVE_WEIGHT if found.gather else 1 + MATCH_WEIGHT))
        return found.by_line, found.gather

    def _attempt(self, seeds: Seeds, stack: ExitStack, crew: Crew, *, by_line: bool) -> bool:
        """False where it is to begin again by cells and other seeds."""
        left, right = (
            LargeSide(
                source=source,
                seeds=seeds,
                by_line=by_line,
                hold=self._may_hold,
                thresholds=self._thresholds,
                meter=self._meter,
                folder=self._spill_folder,
                partition_bits=self._partition_bits,
                stack=stack,
            )
            for source in self._sources
        )
        crew.both(left.scan, right.scan)
        if not (left.is_held() and right.is_held()):
            left.let_go()
            right.let_go()
        settlement = self._settlement(left, right, crew)
        if left.is_held() and self._tally.can_rewind():
            return settlement.at_once()
        return settlement.in_shares(stack)

    def _gather(self, seeds: Seeds, stack: ExitStack, crew: Crew) -> bool:
        """Reads each file once; False where so many rows share a key that they would not fit in memory."""
        left, right = (
            GatheredSide(
                source=source,
                seeds=seeds,
                thresholds=self._thresholds,
                meter=self._meter,
                folder=self._spill_folder,
                partition_bits=self._partition_bits,
                stack=stack,
            )
            for source in self._sources
        )
        crew.both(left.scan, right.scan)
        if not (left.fits() and right.fits()):
            return False
        self._settlement(left, right, crew).of_gathered(left, right)
        return True

    def _settlement(self, left: LargeSide, right: LargeSide, crew: Crew) -> Settlement:
        return Settlement(
            left=left,
            right=right,
            tally=self._tally,
            pairing=self._pairing,
            thresholds=self._thresholds,
            sample_limit=self._sample_limit,
            meter=self._meter,
            crew=crew,
        )
