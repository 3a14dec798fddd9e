"""Kernels as machine code: found on disk, or compiled by numba, which only this file knows, and only then.

What is kept is an object file of a function with all of its kernels and an entry that takes one pointer (see
`execution.machine_entry`). A process that finds it neither imports numba nor asks it for anything.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final

from execution.kernel import SUMMING
from execution.kernel_calls import called_by, digest, kept_apart
from execution.machine_code_cache import folders, is_kept, keep, read
from execution.machine_entry import (
    ANSWER,
    BROKEN,
    FIRST,
    LENGTH,
    RAISED,
    WHOLE,
    Entry,
    Image,
    Prepared,
    kind_of,
    load,
)

ANY_ORDER: Final = {"reassoc", "contract", "nsz"}  # not a number stays what it is
_NUMBERS: Final = count()  # of entries: functions without a file may share a name
_REGISTERED: Final[set[Callable[..., Any]]] = set()


@cache
def compiled_function(function: Callable[..., Any]) -> MachineCode | None:
    """A kernel as machine code; None where there is no numba."""
    return machine_code(function)


def machine_code(function: Callable[..., Any], *types: type) -> MachineCode | None:
    """A function over numbers and columns as machine code, with the kernels that it calls; None without numba.

    Kept on disk where there is a folder that may be written to. In the name are digests of the files of all its
    kernels, and of `types`, whose fields they read, and of processor and versions: an edited rule is compiled anew.
    """
    try:
        code = MachineCode(function, *types)
        if not code.is_kept:
            import numba  # noqa: F401 - it may be there and not work, with a numpy that is too new for it
    except ImportError:
        return None
    return code


class MachineCode:
    """A function to call as its original: numbers, columns, and tuples of these; it gives back a number.

    Compiled, or loaded, for the kinds of arguments of each call; threads may share it.
    """

    def __init__(self, function: Callable[..., Any], *types: type) -> None:
        self._function = function
        self._places: list[Path] = []
        self._name = function.__name__
        self._entries: dict[Hashable, Entry] = {}
        self._one_at_a_time = Lock()
        setting = _setting()
        with suppress(OSError):  # there are no files of the source
            source = digest(function, *types, machine_code, kind_of, digest)
            self._name = f"{function.__module__}.{function.__qualname__}-{setting}-{source}"
            self._places = folders(function.__code__.co_filename)

    @property
    def is_kept(self) -> bool:
        """Whether it is on disk, for some kinds of arguments."""
        return is_kept(self._places, self._name)

    def __call__(self, *values: Any) -> Any:
        return self._entry(values).call(values)

    def prepared(self, first: tuple[Any, ...], *last: Any) -> Prepared:
        """The function with its last arguments given, which may hold any number of columns: calls take half a
        microsecond. `first`: numbers like those that it will be called with."""
        return Prepared(self._entry((*first, *last)), first, last)

    def _entry(self, values: tuple[Any, ...]) -> Entry:
        kinds = tuple(map(kind_of, values))
        entry = self._entries.get(kinds)
        if entry is None:
            with self._one_at_a_time:
                entry = self._entries.get(kinds)
                if entry is None:
                    entry = self._entries[kinds] = self._found(kinds)
        return entry

    def _found(self, kinds: tuple[Hashable, ...]) -> Entry:
        name = f"{self._name}-{_digest(repr(kinds))}"
        content = read(self._places, name)
        if content is not None:
            with suppress(ValueError, RuntimeError):  # it does not link here
                return load(Image.from_bytes(content))
        image, entry = _compiled(self._function, kinds, f"{name}-{next(_NUMBERS)}")
        keep(self._places, name, image.to_bytes())
        return entry


def _setting() -> str:
    """A digest of processor, versions and settings. Raises ImportError where there is no llvmlite."""
    import llvmlite  # type: ignore[import-untyped]
    from llvmlite import binding as llvm

    numba = find_spec("numba")
    said = b""
    if numba is not None and numba.origin is not None:
        with suppress(OSError):
            said = Path(numba.origin).with_name("_version.py").read_bytes()  # its import takes a quarter of a second
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_"))
    processor = (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    kept = [(name, value) for name, value in settings if not name.startswith("NUMBA_CACHE")]
    return _digest(repr((processor, sys.version_info[:2], llvmlite.__version__, said, kept)))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


# ---- compiling


def _compiled(function: Callable[..., Any], kinds: tuple[Hashable, ...], symbol: str) -> tuple[Image, Entry]:
    """Compiles a function for arguments of these kinds, with an entry of this name."""
    from numba.core import compiler as untyped
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    _register(function)
    compiler: Any = untyped
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    with global_compiler_lock:
        done = compiler.compile_extra(
            cpu_target.typing_context, cpu_target.target_context, function, [_type(kind) for kind in kinds], None,
            flags, {},
        )  # fmt: skip
        library = done.library
        library.add_ir_module(_entry(done, library.create_ir_module(symbol), symbol))
        library.enable_object_caching()  # keeps what is compiled, for us to take
        library.finalize()
        address = library.get_pointer_to_function(symbol)
        image = Image(symbol, _answer(done), library._get_compiled_object())
    return image, Entry(address, image.answer, library)


def _register(function: Callable[..., Any]) -> None:
    """Makes the kernels that a function calls known to numba.

    They make no arrays, they only write into the caller's; so they do without counting references, which took most of
    the time. A kernel that did make one would not compile.
    """
    from numba.extending import register_jitable

    apart = kept_apart(function)
    for kernel in called_by(function) - _REGISTERED:
        order = ANY_ORDER if kernel in SUMMING else False
        register_jitable(_nrt=False, forceinline=kernel not in apart, fastmath=order)(kernel)
        _REGISTERED.add(kernel)


def _type(kind: Any) -> Any:
    """numba's type of an argument."""
    from numba import from_dtype
    from numba import types as untyped

    types: Any = untyped

    if kind in (WHOLE, BROKEN):
        return types.int64 if kind == WHOLE else types.float64
    if isinstance(kind[0], type):
        made, fields, held = kind
        return types.BaseTuple.from_types([_type(one) for one in held], made if fields else None)
    dtype, _, dimensions, layout, aligned = kind
    return types.Array(from_dtype(dtype), dimensions, layout, aligned=aligned)


def _answer(done: Any) -> str:
    """Whether a whole number comes back. Raises TypeError where it is no number at all."""
    from numba import types

    kind = done.signature.return_type
    if kind != types.float64 and not isinstance(kind, (types.Integer, types.Boolean)):
        raise TypeError(f"{done.fndesc.qualname} gives back {kind}, and not a number")
    return BROKEN if kind == types.float64 else WHOLE


def _entry(done: Any, module: Any, symbol: str) -> Any:
    """Code that reads the arguments from words, calls the function, and writes what it gives back or raises."""
    from llvmlite import ir
    from numba.core.registry import cpu_target

    calls = cpu_target.target_context.call_conv
    word, status = ir.IntType(8 * 8), ir.IntType(32)
    kind = calls.get_function_type(done.fndesc.restype, done.fndesc.argtypes)
    function = ir.Function(module, kind, done.fndesc.llvm_func_name)
    entry = ir.Function(module, ir.FunctionType(status, [word.as_pointer()]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block())

    def at(index: int) -> Any:
        return builder.gep(entry.args[0], [word(index)])

    arguments = []
    for index, wanted in enumerate(kind.args[2:], FIRST):
        value = builder.load(at(index))
        if isinstance(wanted, ir.PointerType):
            value = builder.inttoptr(value, wanted)
        elif wanted != word:
            value = builder.bitcast(value, wanted)
        arguments.append(value)
    answer, raised = (builder.alloca(pointer.pointee) for pointer in kind.args[:2])
    code = builder.call(function, [answer, raised, *arguments])
    with builder.if_else(builder.icmp_signed("==", code, status(0))) as (well, badly):
        with well:
            value = builder.load(answer)
            if _answer(done) == BROKEN:
                value = builder.bitcast(value, word)
            elif value.type != word:
                signed = getattr(done.signature.return_type, "signed", False)
                value = builder.sext(value, word) if signed else builder.zext(value, word)
            builder.store(value, at(ANSWER))
        with badly:
            what = builder.load(raised)
            for index, field in ((RAISED, 0), (LENGTH, 1)):
                part = builder.load(builder.gep(what, [ir.IntType(32)(0), ir.IntType(32)(field)]))
                whole = builder.ptrtoint(part, word) if field == 0 else builder.sext(part, word)
                builder.store(whole, at(index))
    builder.ret(code)
    return module
