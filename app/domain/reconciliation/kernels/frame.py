"""The arguments and the result of a kernel as one block of memory: a number after the other, in 64 bits each.

An array is what numba knows of one: two pointers that would count references (none), how many items, the bytes of one,
the address, the shape and the strides.
"""

import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

R = TypeVar("R")
Kind = TypeVar("Kind", bound=np.generic)

Table = Annotated[NDArray[Kind], 2]  # of two dimensions
Cube = Annotated[NDArray[Kind], 3]

# How a number stands in a block, and in a result, where a truth has a byte.
_CODES: dict[object, tuple[str, str]] = {
    int: ("q", "q"),
    float: ("d", "d"),
    bool: ("q", "?"),
    np.int64: ("q", "q"),
    np.uint64: ("Q", "Q"),
    np.float64: ("d", "d"),
}


class Part(Protocol):
    """A part of a signature."""

    def codes(self) -> str: ...

    def put(self, value: Any, leaves: list[Any]) -> None:
        """Raises: TypeError where the value is none of this part."""


@dataclass(frozen=True, slots=True)
class Scalar:
    kind: type

    def codes(self) -> str:
        return _CODES[self.kind][0]

    def put(self, value: Any, leaves: list[Any]) -> None:
        leaves.append(value)


@dataclass(frozen=True, slots=True)
class Array:
    dtype: np.dtype[Any]
    dimensions: int

    def codes(self) -> str:
        return "qqqqQ" + "q" * (2 * self.dimensions)

    def put(self, value: Any, leaves: list[Any]) -> None:
        if value.dtype != self.dtype or value.ndim != self.dimensions or not value.flags.c_contiguous:
            raise TypeError(
                f"A kernel wants a C-contiguous array of {self.dtype} with {self.dimensions} dimension(s), "
                f"and got {value.dtype} with {value.ndim}, strides {value.strides}."
            )
        leaves += (0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple, or a NamedTuple."""

    parts: tuple[Part, ...]
    kind: type

    def codes(self) -> str:
        return "".join(part.codes() for part in self.parts)

    def put(self, value: Any, leaves: list[Any]) -> None:
        for part, item in zip(self.parts, value, strict=True):
            part.put(item, leaves)


class Frame(Generic[R]):
    """The signature of one kernel, by its annotations."""

    def __init__(self, function: Callable[..., R]) -> None:
        self.parts, self.returned = signature_of(function)
        self._packing = struct.Struct("=" + "".join(part.codes() for part in self.parts))
        self._unpacking = struct.Struct("@" + "".join(_result_codes(self.returned)))
        self.result_place = self._packing.size // 8
        result_numbers = self._unpacking.size // 8 + 1  # for nothing, a pointer comes back
        self._block = ctypes.c_int64 * (self.result_place + result_numbers)

    def packed(self, arguments: Sequence[Any]) -> ctypes.Array[ctypes.c_int64]:
        """A block that holds the arguments, as long as these live; it has room for the result."""
        leaves: list[Any] = []
        for part, argument in zip(self.parts, arguments, strict=True):
            part.put(argument, leaves)
        block = self._block()
        try:
            self._packing.pack_into(block, 0, *leaves)
        except struct.error as error:
            raise TypeError(f"A kernel takes numbers of 64 bits: {error}.") from error
        return block

    def result(self, block: ctypes.Array[ctypes.c_int64]) -> R:
        values = self._unpacking.unpack_from(block, self._packing.size)
        result: Any = None
        if isinstance(self.returned, Group):
            result = values if self.returned.kind is tuple else self.returned.kind(*values)
        elif self.returned is not None:
            (result,) = values
        return result  # type: ignore[no-any-return] # as the kernel's annotation says


def signature_of(function: Callable[..., object]) -> tuple[tuple[Part, ...], Part | None]:
    """What a kernel takes and what it gives back, by its annotations. Raises: TypeError for what no kernel can have."""
    hints = get_type_hints(function, include_extras=True)
    returned = hints.pop("return")
    return tuple(part_of(hint) for hint in hints.values()), None if returned is type(None) else part_of(returned)


def part_of(hint: Any) -> Part:
    """Raises: TypeError for what no kernel takes."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _CODES:
        return Scalar(hint)
    if origin is Annotated:
        array, dimensions = arguments
        return Array(_dtype_of(array), dimensions)
    if origin is np.ndarray:
        return Array(_dtype_of(hint), 1)
    if origin is tuple:
        return Group(tuple(part_of(part) for part in arguments), tuple)
    if hasattr(hint, "_make"):
        parts = get_type_hints(hint, include_extras=True)
        return Group(tuple(part_of(part) for part in parts.values()), hint)
    raise TypeError(f"A kernel's signature cannot have {hint}.")


def _dtype_of(array: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(get_args(get_args(array)[1])[0])
    return dtype


def _result_codes(part: Part | None) -> Iterator[str]:
    match part:
        case Scalar(kind):
            yield _CODES[kind][1]
        case Group(parts):
            for inner in parts:
                if not isinstance(inner, Scalar):
                    raise TypeError("A kernel gives back numbers, or one tuple of them.")
                yield from _result_codes(inner)
        case None:
            return
        case _:
            raise TypeError("A kernel gives back numbers, or one tuple of them.")
