"""What becomes of two large sides that were scanned: their rows are matched, and what is left over is settled."""

from collections.abc import Callable
from contextlib import ExitStack

from app.domain.errors import UnavailableError
from app.domain.reconciliation.crew import Crew
from app.domain.reconciliation.gathered_side import GatheredSide
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.left_over import LeftOver, Regrouped, Singles
from app.domain.reconciliation.matching import Matching
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import MATCH_WEIGHT, PICK_WEIGHT, RESOLVE_WEIGHT, Meter
from app.domain.reconciliation.resolving import Resolver
from app.domain.reconciliation.tally import Tally
from app.domain.reconciliation.totals import Totals

COLLISION = "The hashes of different rows agreed again and again: start the comparison once more."
_MANY = 0.25  # of a side's rows


class Settlement:
    """One of three ways is taken, once. A way that gives False has left the tally as it was."""

    def __init__(
        self,
        *,
        left: LargeSide,
        right: LargeSide,
        tally: Tally,
        pairing: Callable[[], Pairing],
        thresholds: Thresholds,
        sample_limit: int,
        meter: Meter,
        crew: Crew,
    ) -> None:
        self._left = left
        self._right = right
        self._tally = tally
        self._thresholds = thresholds
        self._meter = meter
        self._crew = crew
        self._by_line = left.layout.by_line
        self._partitions = 1 << left.partition_bits
        self._size_bytes = left.source.side.size_bytes + right.source.side.size_bytes
        self._matching = Matching(left=left, right=right, sample_limit=sample_limit, meter=meter)
        self._totals = Totals(left=left, right=right, matching=self._matching, tally=tally)
        self._resolver = Resolver(
            sources=(left.source, right.source),
            layouts=(left.layout, right.layout),
            tally=tally,
            pairing=pairing,
            options=left.source.options,
            meter=meter,
        )

    def at_once(self) -> bool:
        """Settles each partition of held sides as soon as it is matched, with a tally that can take that back.

        False where hashes of different rows agree, or where lines are not the way to tell these rows apart.
        """
        left_over = self._left_over()

        def settle(partition: int) -> None:
            self._matching.match(partition)
            if not self._has_failed():
                self._resolver.resolve(left_over.of([partition]))

        weight = (MATCH_WEIGHT + RESOLVE_WEIGHT) * self._size_bytes
        self._meter.expect(weight)
        self._crew.each(settle, self._partitions, weight=weight)
        if self._has_failed() or self._left.common_check() != self._right.common_check():
            self._tally.rewind()
            return False
        self._report()
        return True

    def in_shares(self, stack: ExitStack) -> bool:
        """Matches all, then reads again what is left over where it is not held, and settles it in shares.

        False as for `at_once`.
        """
        left, right = self._left, self._right
        self._crew.each(self._matching.match, self._partitions, weight=MATCH_WEIGHT * self._size_bytes)
        if self._has_failed() or (self._by_line and self._is_written_otherwise()):
            return False
        self._meter.expect((left.to_pick() + right.to_pick()) * PICK_WEIGHT)
        singles = self._singles()
        if singles is None:
            self._crew.both(lambda: left.pick(PICK_WEIGHT), lambda: right.pick(PICK_WEIGHT))
        else:
            self._crew.both(
                lambda: left.pick(PICK_WEIGHT, keep=lambda picked: singles.tell(picked, 0)),
                lambda: right.pick(PICK_WEIGHT, keep=lambda picked: singles.tell(picked, 1)),
            )
        if left.common_check() != right.common_check():
            if singles is not None:
                self._tally.rewind()
            return False
        self._resolve(stack)
        self._report()
        return True

    def of_gathered(self, left: GatheredSide, right: GatheredSide) -> None:
        """Brings back each partition, matches and settles it. Raises: UnavailableError, for a coincidence of hashes."""
        left_over = self._left_over()

        def settle(partition: int) -> None:
            left.bring(partition)
            right.bring(partition)
            self._matching.match(partition)
            if partition in self._matching.repeating:
                left.hash_cells(partition)
                right.hash_cells(partition)
                self._matching.count_rows(partition)
            if left.common_check_of(partition) != right.common_check_of(partition):
                raise UnavailableError(COLLISION)
            self._resolver.resolve(left_over.of([partition]))
            left.forget(partition)
            right.forget(partition)

        self._crew.each(settle, self._partitions, weight=self._size_bytes * RESOLVE_WEIGHT)
        self._report()

    def _has_failed(self) -> bool:
        """Whether lines do not tell rows apart: one key stands on several."""
        return self._by_line and bool(self._matching.repeating)

    def _is_written_otherwise(self) -> bool:
        """Whether so many lines differ, and so few of the rows, that cells had better told them apart."""
        left = self._left
        much = left.left_over > left.extent.rows * _MANY
        return much and not left.is_held() and self._matching.written_otherwise()

    def _singles(self) -> Singles | None:
        """Where what is told can be taken back: it is before hashes are known to be right."""
        left = self._left
        if left.source.keys or left.source.grouped_by_text or left.is_held() or not self._tally.can_rewind():
            return None
        return Singles(resolver=self._resolver, matching=self._matching, partition_bits=left.partition_bits)

    def _left_over(self) -> LeftOver:
        return LeftOver(
            left=self._left,
            right=self._right,
            matching=self._matching,
            totals=self._totals,
            thresholds=self._thresholds,
        )

    def _resolve(self, stack: ExitStack) -> None:
        left_over = self._left_over()
        weight = (self._left.left_over_bytes() + self._right.left_over_bytes()) * RESOLVE_WEIGHT
        self._meter.expect(weight)
        read = left_over.read
        if self._left.source.grouped_by_text:
            regrouped = Regrouped(left_over, left=self._left, right=self._right, stack=stack)
            self._crew.each(lambda share: self._resolver.resolve(regrouped.regroup(share)), left_over.shares, weight=0)
            read = regrouped.read
        self._crew.each(lambda share: self._resolver.resolve(read(share)), left_over.shares, weight=weight)

    def _report(self) -> None:
        self._tally.left_rows, self._tally.right_rows = self._left.extent.rows, self._right.extent.rows
        self._totals.report()
