"""A kernel's canonical text is the one of `cells`, byte for byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.reconciliation.cells import CanonicalCells, number_of
from app.domain.reconciliation.kernels.marks import NULL, UNDECIDED
from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of, are_digits, find_either
from app.domain.reconciliation.kernels.texts import (
    EMPTY_IS_NULL,
    IGNORE_CASE,
    TRIM,
    canonical,
    is_number,
    is_plain_text,
)
from app.domain.reconciliation.scan import bytes_at
from tests.domain.reconciliation.reconciliation_oracle import NUMBERS, OTHERS, TEXTS

many = settings(max_examples=500, deadline=None)

FLAGS = {"trim": TRIM, "ignore_case": IGNORE_CASE, "empty_is_null": EMPTY_IS_NULL}
numbers = st.from_regex(r"-?[0-9]{0,45}(\.[0-9]{0,45})?([eE][+-]?[0-9]{0,5})?", fullmatch=True)
moments = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T t][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,7})?)?"
    r"( ?(Z|z|UTC|utc|[+-][0-2][0-9](:?[0-6][0-9])?))?)?",
    fullmatch=True,
)
words = st.from_regex(r"-?(true|false|nan|inf|infinit.|infinity)", fullmatch=True).flatmap(
    lambda word: st.sampled_from([word, word.upper(), word.title(), word + " ", word[:-1]])
)
blanks = st.text(st.sampled_from(" \t\n\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000\u200bé"), max_size=3)
texts = st.one_of(numbers, moments, words, st.text(max_size=12), st.sampled_from([*NUMBERS, *OTHERS, *TEXTS]))
awkward = st.tuples(blanks, texts, blanks).map("".join)


def bytes_of(text: str) -> tuple[np.ndarray, int, int]:
    content = np.frombuffer(text.encode() + bytes(PADDING_BYTES), np.uint8)
    return content, address_of(content), address_of(content) + len(text.encode())


def kernel_text(text: str, flags: int) -> tuple[int, str | None]:
    content, start, end = bytes_of(text)
    scratch = np.empty(len(content) + PADDING_BYTES, np.uint8)
    where, first, last = canonical(start, end, address_of(scratch), flags)
    return where, None if where == NULL else bytes_at(first, last).decode()


@many
@given(text=awkward, options=st.fixed_dictionaries({name: st.booleans() for name in FLAGS}))
def test_the_canonical_text_is_that_of_cells(text: str, options: dict[str, bool]) -> None:
    where, found = kernel_text(text, sum(FLAGS[name] for name, wanted in options.items() if wanted))
    if where == UNDECIDED:
        assert options["ignore_case"]
        assert not text.isascii()
    else:
        assert found == CanonicalCells(**options)[text]


@many
@given(text=texts)
def test_a_canonical_text_is_a_number_where_it_is_one_in_cells(text: str) -> None:
    known = CanonicalCells()[text]
    _kept, start, end = bytes_of(known)
    assert is_number(start, end) == (number_of(known) is not None)


@pytest.mark.parametrize("byte", range(256))
def test_what_is_called_plain_text_at_its_first_byte_is_its_own_canonical_text(byte: int) -> None:
    if is_plain_text(byte):
        for rest in ("rue", "nf", "nfinity", "alse", "an", "1", "", "-01-01", ".5"):
            text = bytes([byte]).decode("latin-1") + rest
            assert CanonicalCells()[text] == text


@many
@given(text=st.text(st.sampled_from("0123456789/:a-. "), min_size=1, max_size=8))
def test_digits_are_told_eight_at_a_time(text: str) -> None:
    _kept, start, end = bytes_of(text)
    assert are_digits(start, end) == (text.isdigit() and text.isascii())


@many
@given(text=st.binary(max_size=40), one=st.integers(0, 255), other=st.integers(0, 255))
def test_the_first_of_two_bytes_is_found_eight_at_a_time(text: bytes, one: int, other: int) -> None:
    content = np.frombuffer(text + bytes([other]) + bytes(PADDING_BYTES), np.uint8)
    places = [text.find(bytes([byte])) for byte in (one, other)]
    expected = min((place for place in places if place >= 0), default=len(text))
    if one == 0 and text.find(b"\0") < 0:
        expected = min(expected, len(text))
    assert find_either(address_of(content), one, other) - address_of(content) == expected
