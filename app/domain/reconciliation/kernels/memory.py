"""Bytes by their addresses: what the kernels read and write text with.

An array that is passed to a kernel's function costs a check at each access; an address costs nothing. Whoever calls a
kernel keeps the array alive, and has given it PADDING_BYTES behind its end. What reads and writes here is the
definition; compiled, it is one instruction (`primitives`).
"""

import ctypes
import sys

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.kernel import entry, inner

Address = int  # as np.int64
Bytes = NDArray[np.uint8]

PADDING_BYTES = 64


def address_of(array: Bytes) -> Address:
    return int(array.ctypes.data)


def byte_at(address: Address) -> int:
    """The byte at an address, from 0 to 255."""
    return ctypes.c_uint8.from_address(address).value


def word_at(address: Address) -> np.uint64:
    """The eight bytes at an address, aligned or not."""
    return np.uint64(int.from_bytes(ctypes.string_at(address, 8), sys.byteorder))


def put_byte(address: Address, byte: int) -> None:
    """Writes the lowest eight bits of a number."""
    ctypes.c_uint8.from_address(address).value = byte


def put_word(address: Address, word: np.uint64) -> None:
    """Writes eight bytes, aligned or not."""
    ctypes.memmove(address, int(word).to_bytes(8, sys.byteorder), 8)


def trailing_zeros(word: np.uint64) -> int:
    """How many of the lowest bits are zero; 64 where all are."""
    bits = int(word)
    return (bits & -bits).bit_length() - 1 if bits else 64


def fetch(address: Address) -> None:
    """Brings what is at an address into the processor's cache, while other work goes on."""


_LOW_BITS = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOWER_BITS = ~_HIGH_BITS
_ZEROS, _TO_NINE, _HALVES = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x06, 0xF0))


@entry
def find_either(place: Address, one: int, other: int) -> Address:
    """Where one of two bytes comes first, eight bytes at a time: the zero byte of a word, as in Hacker's Delight."""
    ones, others = np.uint64(one) * _LOW_BITS, np.uint64(other) * _LOW_BITS
    while True:
        word = word_at(place)
        like_one, like_other = word ^ ones, word ^ others
        found = ((like_one - _LOW_BITS) & ~like_one) | ((like_other - _LOW_BITS) & ~like_other)
        found &= _HIGH_BITS
        if found:
            return place + (trailing_zeros(found) >> 3)
        place += 8


@inner
def _places_of(word: np.uint64, bytes_alike: np.uint64) -> np.uint64:
    """The highest bit of each byte of a word that is the wanted one; unlike the test for any, exact for all."""
    unlike = word ^ bytes_alike
    return ~(((unlike & _LOWER_BITS) + _LOWER_BITS) | unlike | _LOWER_BITS)


@inner
def look_along(place: Address, end_mark: int, counted: int, noticed: int) -> tuple[Address, int, bool]:
    """Where the next `end_mark` is, how many of one byte are before it, and whether there is one of another."""
    ends, ones, others = np.uint64(end_mark) * _LOW_BITS, np.uint64(counted) * _LOW_BITS, np.uint64(noticed) * _LOW_BITS
    count, seen = np.uint64(0), np.uint64(0)
    while True:
        word = word_at(place)
        at_end, like_one, like_other = _places_of(word, ends), _places_of(word, ones), _places_of(word, others)
        if at_end:
            before = (at_end & (~at_end + np.uint64(1))) - np.uint64(1)
            like_one, like_other = like_one & before, like_other & before
        count += ((like_one >> np.uint64(7)) * _LOW_BITS) >> np.uint64(56)
        seen |= like_other
        if at_end:
            return place + (trailing_zeros(at_end) >> 3), int(count), seen != np.uint64(0)
        place += 8


@entry
def are_digits(start: Address, end: Address) -> bool:
    """Whether one to eight bytes are decimal digits."""
    unused = np.uint64(8 * (8 - (end - start)))
    word = (word_at(start) ^ _ZEROS) << unused  # a digit is now 0 to 9
    return not (word | (word + _TO_NINE)) & _HALVES


@inner
def same_words(start: Address, end: Address, other: Address) -> bool:
    """Whether the bytes of a span, one at least, are the same elsewhere; looks at eight at a time."""
    while end - start > 8:
        if word_at(start) != word_at(other):
            return False
        start += 8
        other += 8
    unused = np.uint64(8 * (8 - (end - start)))
    return not (word_at(start) ^ word_at(other)) << unused


@inner
def copy(start: Address, end: Address, target: Address) -> None:
    """Eight bytes at a time, also beyond the end."""
    while start < end:
        put_word(target, word_at(start))
        start += 8
        target += 8


@inner
def has_any(start: Address, end: Address, one: int, two: int, three: int, four: int) -> bool:
    """Whether one of four bytes is among those of a span, one at least."""
    ones, twos = np.uint64(one) * _LOW_BITS, np.uint64(two) * _LOW_BITS
    threes, fours = np.uint64(three) * _LOW_BITS, np.uint64(four) * _LOW_BITS
    while True:
        word = word_at(start)
        found = _places_of(word, ones) | _places_of(word, twos) | _places_of(word, threes) | _places_of(word, fours)
        if end - start <= 8:
            return bool(found << np.uint64(8 * (8 - (end - start))))
        if found:
            return True
        start += 8
