"""The result of what a tally has collected: whether the two sides match, and everything else that is told of them."""

from collections.abc import Sequence

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult
from app.domain.reconciliation.tally import Tally


def result_of(
    tally: Tally,
    *,
    mapping: Sequence[ColumnMapping],
    options: ReconciliationOptions,
    method: ReconciliationMethod,
    false_positive_rate: float | None,
) -> ReconciliationResult:
    """`false_positive_rate` is that of an answer that was not verified."""
    common, changed = tally.counts[DifferenceKind.COMMON], tally.counts[DifferenceKind.CHANGED]
    differing = changed + tally.counts[DifferenceKind.LEFT_ONLY] + tally.counts[DifferenceKind.RIGHT_ONLY]
    if not tally.left_rows and not tally.right_rows:
        tally.warnings.append("Both sides have a header and no rows: nothing was compared.")
    return ReconciliationResult(
        matched=options.pass_when.holds(differing_rows=differing, all_rows=common + differing),
        left_row_count=tally.left_rows,
        right_row_count=tally.right_rows,
        common_row_count=common,
        changed_row_count=changed,
        left_only_row_count=tally.counts[DifferenceKind.LEFT_ONLY],
        right_only_row_count=tally.counts[DifferenceKind.RIGHT_ONLY],
        exact=false_positive_rate is None,
        false_positive_rate=false_positive_rate,
        method=method,
        mapping=tuple(mapping),
        columns=tally.columns() if false_positive_rate is None else (),
        samples=tally.samples(),
        warnings=tuple(tally.warnings),
    )
