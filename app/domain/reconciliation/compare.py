"""The entry: compares two sides and gives one result, the same by every method."""

from collections.abc import Callable, Sequence
from pathlib import Path

from app.domain.reconciliation.exact import compare_exactly
from app.domain.reconciliation.mapping import ColumnMapping, check_mapping
from app.domain.reconciliation.method import choose_method
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import MATCH_WEIGHT, SIFT_WEIGHT, Meter
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.reconciliation.rows import sources
from app.domain.reconciliation.tally import DifferenceSink, Tally
from app.domain.reconciliation.tolerance import Tolerance
from app.domain.reconciliation.verdict import result_of

# What is to be done, in readings of both files, as far as it is known at the start.
_READINGS = {True: 1 + MATCH_WEIGHT, False: 1 + SIFT_WEIGHT}


def compare(
    left: Side,
    right: Side,
    mapping: Sequence[ColumnMapping],
    options: ReconciliationOptions,
    *,
    thresholds: Thresholds,
    spill_dir: Path,
    differences: DifferenceSink | None = None,
    sample_limit: int = 100,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    compiling: Callable[[float], None] = lambda _: None,
) -> ReconciliationResult:
    """Compares the mapped columns row by row; `differences` hears of every differing row, in no particular order.

    A sink that can take back what it was told (`tally.RewindableSink`) lets sides in one order be compared in one walk.

    `progress` hears a share of the bytes to read that rises to 1.0. `compiling` hears 0.0 where the comparison has to
    wait for its native code, which is made once for a machine, and 1.0 behind that. Raises InvalidError for a mapping
    that does not fit, MalformedError for a side that is no CSV table, UnavailableError where `spill_dir` has no room
    or there can be no native code, and ComparisonCancelledError soon after `cancelled` says so.
    """
    check_mapping(mapping)
    method = choose_method(
        left_bytes=left.size_bytes, right_bytes=right.size_bytes, options=options, thresholds=thresholds
    )
    left_rows, right_rows = sources(left, right, mapping, options)
    tally = Tally(mapping=mapping, sample_limit=sample_limit, sink=differences)
    readings = 1.0 if method is ReconciliationMethod.EXACT else _READINGS[options.verify]
    meter = Meter(
        total_bytes=round((left.size_bytes + right.size_bytes) * readings), report=progress, cancelled=cancelled
    )
    keyed = any(pair.key for pair in mapping)
    tolerance = Tolerance(absolute=options.absolute_tolerance, relative=options.relative_tolerance)
    pairing = Pairing(tolerance=tolerance, keyed=keyed, check=meter.check)
    rate: float | None = None
    spill_dir.mkdir(parents=True, exist_ok=True)
    if method is not ReconciliationMethod.EXACT:
        from app.domain.reconciliation.kernels.library import LIBRARY  # noqa: PLC0415 - small sides need no kernels

        LIBRARY.load(compiling)
    if method is ReconciliationMethod.EXACT:
        compare_exactly(left=left_rows, right=right_rows, tally=tally, pairing=pairing, keyed=keyed, meter=meter)
    elif options.verify:
        from app.domain.reconciliation.large import LargeComparison  # noqa: PLC0415 - likewise

        LargeComparison(
            left=left_rows,
            right=right_rows,
            tally=tally,
            pairing=lambda: Pairing(tolerance=tolerance, keyed=keyed, check=meter.check),
            thresholds=thresholds,
            spill_folder=spill_dir,
            sample_limit=sample_limit,
            meter=meter,
        ).run()
    else:
        from app.domain.reconciliation.estimate import Estimation  # noqa: PLC0415 - likewise

        rate = Estimation(
            left=left_rows,
            right=right_rows,
            tally=tally,
            thresholds=thresholds,
            spill_folder=spill_dir,
            meter=meter,
        ).run()
    meter.finish()
    return result_of(tally, mapping=mapping, options=options, method=method, false_positive_rate=rate)
