"""Seeded 64-bit hashes of spans of bytes, two at a time: one to find equals by, one to check what was found.

The scheme is multiply and xor-shift over eight bytes at a step, as in MurmurHash64 and wyhash. Every run has seeds of
its own, so that nobody can prepare a file whose rows collide.
"""

import secrets

import numpy as np

from app.domain.reconciliation.kernels.frame import Table
from app.domain.reconciliation.kernels.kernel import inner
from app.domain.reconciliation.kernels.memory import Address, word_at

Seeds = Table[np.uint64]

_FIRST_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SECOND_PRIME = np.uint64(0xC2B2AE3D27D4EB4F)
_FIRST_FINISH = np.uint64(0xFF51AFD7ED558CCD)
_SECOND_FINISH = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)
_SHIFT = np.uint64(29)
_ONE = np.uint64(1)


def new_seeds(columns: int) -> Seeds:
    """Two random numbers for each column and two for the row: shape (columns + 1, 2)."""
    return np.frombuffer(secrets.token_bytes((columns + 1) * 16), dtype=np.uint64).reshape(columns + 1, 2).copy()


@inner
def finish(value: np.uint64) -> np.uint64:
    """Every bit of the argument changes every bit of the result with a probability of one half."""
    value ^= value >> np.uint64(33)
    value *= _FIRST_FINISH
    value ^= value >> np.uint64(33)
    value *= _SECOND_FINISH
    return value ^ (value >> np.uint64(33))


@inner
def _mix(value: np.uint64) -> np.uint64:
    """Half of `finish`: enough for hashes that are summed up and finished then."""
    value *= _FIRST_FINISH
    return value ^ (value >> _SHIFT)


@inner
def hashes(start: Address, end: Address, one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Two hashes of the bytes from start to end, with their seeds."""
    length = np.uint64(end - start)
    first = one ^ length * _SECOND_PRIME
    second = other + length * _FIRST_PRIME
    place = start
    while place + 8 <= end:
        word = word_at(place)
        first = (first ^ word) * _FIRST_PRIME
        first ^= first >> _HALF
        second = (second + word) * _SECOND_PRIME
        second ^= second >> _SHIFT
        place += 8
    if place < end:
        word = word_at(place) & ((_ONE << np.uint64(8 * (end - place))) - _ONE)
        first = (first ^ word) * _FIRST_PRIME
        first ^= first >> _HALF
        second = (second + word) * _SECOND_PRIME
        second ^= second >> _SHIFT
    return _mix(first), _mix(second)


@inner
def null_hashes(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """What stands for NULL, which no text is equal to."""
    return _mix(~one), _mix(~other)
