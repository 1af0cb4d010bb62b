"""Which way a comparison goes."""

from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds


def choose_method(
    *, left_bytes: int, right_bytes: int, options: ReconciliationOptions, thresholds: Thresholds
) -> ReconciliationMethod:
    """The method asked for, else EXACT while the larger side is within the threshold."""
    if options.method is not None:
        return options.method
    if max(left_bytes, right_bytes) <= thresholds.exact_match_bytes:
        return ReconciliationMethod.EXACT
    return ReconciliationMethod.BLOOM
