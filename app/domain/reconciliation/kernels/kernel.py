"""How a function becomes a kernel: an entry, which Python calls, or an inner one, which other kernels call.

All of them are compiled together (`build`), the first time that one is called on a machine. A kernel keeps to what
numba compiles; it allocates nothing, so that what it fills comes from its caller.
"""

import ctypes
from collections.abc import Callable
from functools import cached_property
from typing import Final, Generic, ParamSpec, TypeVar

from app.domain.reconciliation.kernels.frame import Frame
from app.domain.reconciliation.kernels.library import LIBRARY

_MARK: Final = "is_inner_kernel"
_NATIVE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)  # a call lets go of the GIL

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])


class Entry(Generic[P, R]):
    """A kernel that Python calls, and other kernels may call as well."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.symbol = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__

    @cached_property
    def frame(self) -> Frame[R]:
        return Frame(self.function)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        """Raises: TypeError for what is not as declared; UnavailableError where the kernels cannot be compiled."""
        if named:
            raise TypeError(f"{self.__name__}: a kernel takes no keywords.")
        block = self.frame.packed(arguments)
        if self._native(block):
            raise AssertionError(self.symbol)  # a kernel raises nothing
        return self.frame.result(block)

    @cached_property
    def _native(self) -> Callable[[ctypes.Array[ctypes.c_int64]], int]:
        return _NATIVE(LIBRARY.address(self.symbol))


def entry(function: Callable[P, R]) -> Entry[P, R]:
    """Marks a kernel that Python calls, by position.

    That is all there is to do for a new one, wherever it stands in this folder. Its annotations are its signature:
    `int` (and `Address`), `float` and `bool` are 64 bits, 64 bits and a truth; so are NumPy's own numbers. An array is
    C-contiguous: `NDArray[np.int64]` has one dimension, `Table[np.int64]` two, `Cube[np.int64]` three. Tuples and
    NamedTuples have such parts. It gives back nothing, a number, or a tuple of numbers, and no array.
    """
    return Entry(function)


def inner(function: F) -> F:
    """Marks a kernel that other kernels call, by its bare name; its annotations are as those of an entry."""
    vars(function)[_MARK] = True
    return function


def is_inner(function: object) -> bool:
    return hasattr(function, _MARK)
