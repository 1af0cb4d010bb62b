"""Which texts are the same cell, and which only look alike."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.reconciliation.cells import CanonicalCells, canonical_text, number_of, order_of
from app.domain.reconciliation.tolerance import Tolerance


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("100", "1E+2"),
        ("0.5", ".5"),
        ("-0.0", "0"),
        ("0.10", "0.1"),
        ("1.7976931348623157E308", "17976931348623157e292"),
        ("4.9E-324", "0.49e-323"),
        ("1" + "0" * 60, "1e60"),
        ("2026-01-05", "2026-01-05 00:00:00"),
        ("2026-01-05", "2026-01-05T00:00:00Z"),
        ("2026-01-05 10:00", "2026-01-05T10:00:00.000000"),
        ("2026-01-05 00:30:00+02:00", "2026-01-04T22:30:00Z"),
        ("2024-02-29 23:30:00-01", "2024-03-01 00:30:00 UTC"),
        ("2026-01-05 10:00:00.123456789", "2026-01-05T10:00:00.1234567890Z"),
        ("true", "TRUE"),
        ("NaN", "nan"),
        ("Infinity", "inf"),
        ("-Infinity", "-inf"),
    ],
)
def test_equal(one: str, other: str) -> None:
    assert canonical_text(one) == canonical_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("007", "7"),
        ("007", "07"),
        ("+7", "7"),
        ("00.5", "0.5"),
        ("00.50", "0.5"),
        ("-007", "-7"),
        ("01e0", "1"),
        ("1,000", "1000"),
        ("0x10", "16"),
        ("1_000", "1000"),
        ("١", "1"),  # noqa: RUF001 - another alphabet's digit is text
        ("9223372036854775808", "9223372036854775809"),
        ("9007199254740993", "9007199254740992.0"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1e60", "1e61"),
        ("1 ", "1"),
        ("true", "1"),
        ("t", "true"),
        ("a", "A"),
        ("é", "e\u0301"),
        ("2026-01-05", "2026-1-5"),
        ("2026-01-05", "20260105"),
        ("2026-01-05 10:00:00", "2026-01-05 10:00:00.000000001"),
        ("2026-01-05 10:00:00", "2026-01-05 10:00:00+01:00"),
        ("2026-02-30", "2026-03-02"),
        ("2026-01-05 24:00:00", "2026-01-06"),
        ("NaN", "inf"),
        ("", "0"),
    ],
)
def test_different(one: str, other: str) -> None:
    assert canonical_text(one) != canonical_text(other)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:30:00-01:00",
        "2026-13-01",
        "0000-00-00",
        "-",
        ".",
        "-.",
        "1e99999",
        "",
    ],
)
def test_what_is_no_moment_and_no_number_stays_as_it_is(text: str) -> None:
    assert canonical_text(text) == text


def test_null_is_neither_the_empty_string_nor_the_word() -> None:
    cells = CanonicalCells()
    assert cells[None] is None
    assert cells[""] == ""
    assert cells["NULL"] == "NULL"


def test_options_trim_before_they_look_for_emptiness_and_types() -> None:
    cells = CanonicalCells(trim=True, empty_is_null=True, ignore_case=True)
    assert cells["  "] is None
    assert cells[" 1.0\t"] == "1"
    assert cells["STRASSE "] == cells["straße"]
    assert CanonicalCells(trim=True)["  "] == ""


def test_the_memory_of_cells_is_bounded() -> None:
    cells = CanonicalCells()
    for number in range(CanonicalCells.REMEMBERED * 2 + 5):
        assert cells[f"{number}.0"] == str(number)
    assert len(cells) <= CanonicalCells.REMEMBERED


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None), st.decimals(allow_nan=False, places=None))
def test_numbers_are_equal_exactly_when_their_values_are(one: Decimal, other: Decimal) -> None:
    same_value = one.normalize() == other.normalize() if len(one.as_tuple().digits) <= 28 else one == other
    texts = canonical_text(str(one)), canonical_text(format(other))
    if all(number_of(text) is not None for text in texts):
        assert (texts[0] == texts[1]) == same_value == (number_of(texts[0]) == number_of(texts[1]))


@given(st.one_of(st.text(), st.from_regex(r"-?[0-9]{0,45}\.?[0-9]{0,9}(e-?[0-9]{1,3})?", fullmatch=True)))
def test_a_canonical_text_is_its_own_and_is_ordered(text: str) -> None:
    canonical = canonical_text(text)
    assert canonical_text(canonical) == canonical
    number = number_of(canonical)
    if number is not None:
        assert number == Decimal(text)
        assert order_of(canonical) == (1, number, "")


def test_tolerances_are_exact_decimals() -> None:
    absolute = Tolerance(absolute=0.1, relative=0.0)
    assert absolute.allows(Decimal("1.0"), Decimal("1.1"))  # 0.10000000000000009 as floats
    assert not absolute.allows(Decimal("1.0"), Decimal("1.1000000000000000000000001"))
    relative = Tolerance(absolute=0.0, relative=0.01)
    assert relative.allows(Decimal(99), Decimal(100))
    assert relative.allows(Decimal(-100), Decimal(-99))
    assert not relative.allows(Decimal(99), Decimal("100.01"))
    assert not relative.allows(Decimal(0), Decimal("1e-30"))


@given(
    number=st.decimals(-1000, 1000, places=3),
    share=st.decimals(-1, 1, places=4),
    absolute=st.sampled_from([0.0, 0.01, 5.0]),
    relative=st.sampled_from([0.0, 0.01, 0.5, 0.999]),
)
def test_a_tolerance_window_holds_all_that_is_allowed(number, share, absolute: float, relative: float) -> None:
    tolerance = Tolerance(absolute=absolute, relative=relative)
    low, high = tolerance.window(number)
    for other in (low + (high - low) * 2 * share, low, high, -number, number * 2):
        if tolerance.allows(number, other):
            assert low <= other <= high
