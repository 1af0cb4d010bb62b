"""All kernels as object code, by numba; imported by `build` alone.

Each is compiled once, by its annotations, after those that it calls; all of them are one library, where each may become
a part of another. What Python calls takes a block (`frame`), and calls what numba has compiled with the numbers in it.
"""

import re
from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType
from typing import Any

from llvmlite import ir
from llvmlite.binding import Linkage
from numba import from_dtype, types
from numba.core.codegen import AOTCPUCodegen
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.typing.templates import Signature, make_concrete_template

from app.domain.reconciliation import kernels
from app.domain.reconciliation.kernels.frame import Array, Group, Part, Scalar, signature_of
from app.domain.reconciliation.kernels.kernel import Entry, is_inner
from app.domain.reconciliation.kernels.primitives import PRIMITIVES

_MISSING = re.compile(r"declare (?!.*@llvm\.)")  # a function that is not here, nor an instruction of LLVM's
_STATUS, _BYTE, _NUMBER = ir.IntType(32), ir.IntType(8), ir.IntType(64)
_SCALARS = {int: types.int64, float: types.float64, bool: types.boolean}


def object_code() -> bytes:
    """An object file with a function for each entry's symbol."""
    with global_compiler_lock:
        return _Compiler().object_code()


class _Codegen(AOTCPUCodegen):  # type: ignore[misc] # numba's is untyped
    """For this very processor: its name alone may promise what a virtual machine has not."""

    def _customize_tm_features(self) -> str:
        features: str = self._get_host_cpu_features()
        return features


class _Compiler:
    def __init__(self) -> None:
        codegen = _Codegen("kernels", cpu_name="host")
        self._context = cpu_target.target_context.subtarget(_internal_codegen=codegen, aot_mode=True)
        self._typing = cpu_target.typing_context
        self._library = codegen.create_library("kernels")
        self._shims = ir.Module("entries")
        self._compiled: set[object] = set()

    def object_code(self) -> bytes:
        self._context.refresh()
        self._typing.refresh()
        for function, primitive in PRIMITIVES.items():
            self._typing.insert_user_function(function, self._typing.resolve_value_type(primitive).templates[0])
        for found in iter_modules(kernels.__path__, f"{kernels.__name__}."):
            for value in vars(import_module(found.name)).values():
                if isinstance(value, Entry):
                    self._compile(value)
        own = [function.name for function in self._library.get_defined_functions()]
        self._library.add_ir_module(self._shims)
        for name in own:
            self._library.get_function(name).linkage = Linkage.internal  # free to be dissolved
        code: bytes = self._library.emit_native_object()
        missing = [line for line in self._library.get_llvm_str().splitlines() if _MISSING.match(line)]
        if missing:
            raise AssertionError(missing)  # loaded, it would be called at address 0
        return code

    def _compile(self, kernel: Any) -> None:
        """A kernel behind those that it calls."""
        if kernel in self._compiled:
            return
        self._compiled.add(kernel)
        function = kernel.function if isinstance(kernel, Entry) else kernel
        for name in function.__code__.co_names:
            called = function.__globals__.get(name)
            if isinstance(called, Entry) or (isinstance(called, FunctionType) and is_inner(called)):
                self._compile(called)
        parts, part = signature_of(function)
        arguments = tuple(type_of(part) for part in parts)
        returned = types.none if part is None else type_of(part)
        compiled = compile_extra(
            self._typing, self._context, function, arguments, returned, _flags(), {}, library=self._library
        )
        template = make_concrete_template(function.__name__, kernel, [Signature(returned, arguments, recvr=None)])
        self._typing.insert_user_function(kernel, template)
        self._context.insert_user_function(kernel, compiled.fndesc)
        if isinstance(kernel, Entry):
            kind = self._context.call_conv.get_function_type(returned, arguments)
            self._add_shim(kernel, ir.Function(self._shims, kind, compiled.fndesc.llvm_func_name))

    def _add_shim(self, entry: Entry[..., Any], native: ir.Function) -> None:
        """A function from a block to a status. Numba's own takes places for a result and an exception, and numbers."""
        shim = ir.Function(self._shims, ir.FunctionType(_STATUS, [_NUMBER.as_pointer()]), entry.symbol)
        builder = ir.IRBuilder(shim.append_basic_block())

        def place(number: int, kind: ir.Type) -> ir.Value:
            address = builder.gep(shim.args[0], [ir.Constant(_NUMBER, number)], source_etype=_NUMBER)
            return builder.bitcast(address, kind.as_pointer())

        result, error, *wanted = native.function_type.args
        if len(wanted) != entry.frame.result_place:
            raise AssertionError(entry.symbol)
        places = (place(len(wanted), _BYTE), builder.alloca(_NUMBER))
        arguments = [builder.bitcast(of, kind) for of, kind in zip(places, (result, error), strict=True)]
        arguments += [builder.load(place(number, kind), typ=kind) for number, kind in enumerate(wanted)]
        builder.ret(builder.call(native, arguments))


def type_of(part: Part) -> types.Type:
    match part:
        case Scalar(kind):
            return _SCALARS.get(kind) or from_dtype(kind)
        case Array(dtype, dimensions):
            return types.Array(from_dtype(dtype), dimensions, "C")
        case Group(parts, kind):
            return types.BaseTuple.from_types([type_of(part) for part in parts], None if kind is tuple else kind)
    raise AssertionError(part)


def _flags() -> Flags:
    flags = Flags()
    flags.no_compile = True  # not for this process
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.nrt = False  # counts no references; so nothing can be allocated
    flags.error_model = "numpy"  # raises nothing
    return flags
