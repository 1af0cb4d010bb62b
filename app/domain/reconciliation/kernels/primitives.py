"""What `memory` reads and writes by addresses, as machine instructions; imported by `compiler` alone."""

from collections.abc import Callable
from typing import Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from app.domain.reconciliation.kernels import memory


def _byte_at(_context: object, address: types.Integer) -> tuple[Signature, object]:
    """The byte at an address, from 0 to 255."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer, typ=ir.IntType(8)), ir.IntType(64))

    return types.int64(types.int64), generate


def _word_at(_context: object, address: types.Integer) -> tuple[Signature, object]:
    """The eight bytes at an address, aligned or not."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1, typ=ir.IntType(64))

    return types.uint64(types.int64), generate


def _put_byte(_context: object, address: types.Integer, byte: types.Integer) -> tuple[Signature, object]:
    """Writes the lowest eight bits of a number."""

    def generate(context: BaseContext, builder: ir.IRBuilder, _: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        builder.store(builder.trunc(arguments[1], ir.IntType(8)), pointer)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _put_word(_context: object, address: types.Integer, word: types.Integer) -> tuple[Signature, object]:
    """Writes eight bytes, aligned or not."""

    def generate(context: BaseContext, builder: ir.IRBuilder, _: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[1], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), generate


def _trailing_zeros(_context: object, word: types.Integer) -> tuple[Signature, object]:
    """How many of the lowest bits are zero; 64 where all are."""

    def generate(_: BaseContext, builder: ir.IRBuilder, __: Signature, arguments: list[ir.Value]) -> object:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _fetch(_context: object, address: types.Integer) -> tuple[Signature, object]:
    """Brings what is at an address into the processor's cache, while other work goes on."""

    def generate(context: BaseContext, builder: ir.IRBuilder, _: Signature, arguments: list[ir.Value]) -> object:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [pointer, number(0), number(3), number(1)])  # to read, soon again, data
        return context.get_dummy_value()

    return types.void(types.int64), generate


PRIMITIVES: Final[dict[Callable[..., object], object]] = {
    memory.byte_at: intrinsic(_byte_at),
    memory.word_at: intrinsic(_word_at),
    memory.put_byte: intrinsic(_put_byte),
    memory.put_word: intrinsic(_put_word),
    memory.fetch: intrinsic(_fetch),
    memory.trailing_zeros: intrinsic(_trailing_zeros),
}
