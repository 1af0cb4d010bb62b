"""How far two numbers may lie apart and still count as equal.

`|a - b| <= max(absolute, relative * max(|a|, |b|))`, in exact decimals: a tolerance of 0.1 accepts 1.0 against 1.1. It
holds for finite numbers alone; text, instants, NULL, NaN and infinities stay exact, and so do the cells of a key.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

# Exact for every number of up to a thousand digits, whatever the process's own decimal context says.
_EXACT = Context(prec=1000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


class Tolerance:
    def __init__(self, *, absolute: float, relative: float) -> None:
        self._absolute = Decimal(repr(absolute))
        self._relative = Decimal(repr(relative))

    def __bool__(self) -> bool:
        return bool(self._absolute or self._relative)

    def allows(self, left: Decimal, right: Decimal) -> bool:
        apart = distance(left, right)
        if apart <= self._absolute:
            return True
        return apart <= _EXACT.multiply(self._relative, max(left.copy_abs(), right.copy_abs()))

    def window(self, number: Decimal) -> tuple[Decimal, Decimal]:
        """Bounds that hold every number allowed beside `number`, and possibly a little more.

        With d = |a - b| and max(|a|, |b|) <= |a| + d: d <= relative * (|a| + d), hence
        d <= relative * |a| / (1 - relative).
        """
        share = _EXACT.divide(self._relative, Decimal(1) - self._relative)
        reach = max(self._absolute, _EXACT.multiply(share, number.copy_abs()))
        reach = _EXACT.multiply(reach, Decimal("1.000001"))  # division rounds
        return _EXACT.subtract(number, reach), _EXACT.add(number, reach)


def distance(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.subtract(left, right).copy_abs()
