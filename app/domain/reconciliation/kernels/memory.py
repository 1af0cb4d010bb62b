"""Bytes by their addresses: what the kernels read and write text with.

An array that is passed to a kernel's function costs two atomic operations and a check at each access; an address costs
nothing. Whoever calls a kernel keeps the array alive, and has given it PADDING_BYTES behind its end.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped] # has no stubs
from numba import njit, types
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numpy.typing import NDArray

Address = int  # as np.int64
Bytes = NDArray[np.uint8]

PADDING_BYTES = 64


def address_of(array: Bytes) -> Address:
    return int(array.ctypes.data)


@intrinsic
def _byte_at(_context: object, address: types.Integer) -> tuple[Signature, object]:
    """The byte at an address, from 0 to 255."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer, typ=ir.IntType(8)), ir.IntType(64))

    return types.int64(types.int64), generate


@intrinsic
def _word_at(_context: object, address: types.Integer) -> tuple[Signature, object]:
    """The eight bytes at an address, aligned or not."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1, typ=ir.IntType(64))

    return types.uint64(types.int64), generate


@intrinsic
def _put_byte(_context: object, address: types.Integer, byte: types.Integer) -> tuple[Signature, object]:
    """Writes the lowest eight bits of a number."""

    def generate(context: BaseContext, builder: ir.IRBuilder, _: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        builder.store(builder.trunc(arguments[1], ir.IntType(8)), pointer)
        return context.get_dummy_value()  # type: ignore[no-untyped-call] # half of numba has types

    return types.void(types.int64, types.int64), generate


@intrinsic
def _put_word(_context: object, address: types.Integer, word: types.Integer) -> tuple[Signature, object]:
    """Writes eight bytes, aligned or not."""

    def generate(context: BaseContext, builder: ir.IRBuilder, _: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[1], pointer, align=1)
        return context.get_dummy_value()  # type: ignore[no-untyped-call] # half of numba has types

    return types.void(types.int64, types.uint64), generate


@intrinsic
def _trailing_zeros(_context: object, word: types.Integer) -> tuple[Signature, object]:
    """How many of the lowest bits are zero; 64 where all are."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


byte_at = cast("Callable[[Address], int]", _byte_at)
word_at = cast("Callable[[Address], np.uint64]", _word_at)
put_byte = cast("Callable[[Address, int], None]", _put_byte)
put_word = cast("Callable[[Address, np.uint64], None]", _put_word)
_zeros = cast("Callable[[np.uint64], int]", _trailing_zeros)

_LOW_BITS = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOWER_BITS = ~_HIGH_BITS
_ZEROS, _TO_NINE, _HALVES = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x06, 0xF0))


@njit(nogil=True, cache=True)
def find_either(place: Address, one: int, other: int) -> Address:
    """Where one of two bytes comes first, eight bytes at a time: the zero byte of a word, as in Hacker's Delight."""
    ones, others = np.uint64(one) * _LOW_BITS, np.uint64(other) * _LOW_BITS
    while True:
        word = word_at(place)
        like_one, like_other = word ^ ones, word ^ others
        found = ((like_one - _LOW_BITS) & ~like_one) | ((like_other - _LOW_BITS) & ~like_other)
        found &= _HIGH_BITS
        if found:
            return place + (_zeros(found) >> 3)
        place += 8


@njit(nogil=True, cache=True)
def _places_of(word: np.uint64, bytes_alike: np.uint64) -> np.uint64:
    """The highest bit of each byte of a word that is the wanted one; unlike the test for any, exact for all."""
    unlike = word ^ bytes_alike
    return ~(((unlike & _LOWER_BITS) + _LOWER_BITS) | unlike | _LOWER_BITS)


@njit(nogil=True, cache=True)
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
            return place + (_zeros(at_end) >> 3), int(count), seen != np.uint64(0)
        place += 8


@njit(nogil=True, cache=True)
def are_digits(start: Address, end: Address) -> bool:
    """Whether one to eight bytes are decimal digits."""
    unused = np.uint64(8 * (8 - (end - start)))
    word = (word_at(start) ^ _ZEROS) << unused  # a digit is now 0 to 9
    return not (word | (word + _TO_NINE)) & _HALVES
