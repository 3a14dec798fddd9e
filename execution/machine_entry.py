"""How compiled code is called: all of its arguments as words in memory, and one pointer to them.

The first word is for the answer, the next two say where an exception lies that was raised, the others are the arguments
as numba lays them out: a number is one word; a column its owner and object (nothing, for us), size, bytes of an item,
address, shape and strides; a tuple one after the other what it holds. Code is linked by llvmlite, without numba, whose
import takes ten times as long.
"""

from __future__ import annotations

import ctypes
import pickle
import struct
from collections.abc import Hashable, Iterable
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np

ANSWER, RAISED, LENGTH, FIRST = range(4)  # words
WORD: Final = 8  # bytes
WHOLE, BROKEN = "q", "d"  # numbers: int64, float64
_NUMBERS: Final = count()  # of libraries, whose names may not be used again
_ENTER: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)  # others may run meanwhile


def kind_of(value: Any) -> Hashable:
    """What the code has to know of an argument. Raises TypeError for what it cannot take."""
    if isinstance(value, np.ndarray):
        flags, dtype = value.flags, value.dtype
        layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        return dtype, dtype.isalignedstruct, value.ndim, layout, flags.aligned
    if isinstance(value, tuple):
        return type(value), getattr(value, "_fields", ()), tuple(map(kind_of, value))
    if isinstance(value, (float, np.floating)):
        return BROKEN
    if isinstance(value, (int, np.integer, np.bool_)):
        return WHOLE
    raise TypeError(f"compiled code takes numbers, columns, and tuples of these, no {type(value).__name__}")


def words_of(values: Iterable[Any]) -> list[Any]:
    """Arguments as words."""
    words: list[Any] = []
    for value in values:
        if isinstance(value, np.ndarray):
            address = value.__array_interface__["data"][0]
            words += (0, 0, value.size, value.itemsize, address, *value.shape, *value.strides)
        elif isinstance(value, tuple):
            words += words_of(value)
        else:
            words.append(value)
    return words


class Image(NamedTuple):
    """A function that was compiled, as it is kept on disk."""

    symbol: str  # the name of its entry
    answer: str  # WHOLE or BROKEN
    code: bytes  # an object file

    def to_bytes(self) -> bytes:
        return f"{self.symbol} {self.answer}\n".encode() + self.code

    @classmethod
    def from_bytes(cls, content: bytes) -> Image:
        """Raises ValueError where it is none."""
        head, _, code = content.partition(b"\n")
        symbol, answer = head.decode().split(" ")
        return cls(symbol, answer, code)


class Entry:
    """A compiled function in memory. `held`: what has to stay there with it."""

    def __init__(self, address: int, answer: str, held: Any) -> None:
        self.enter = _ENTER(address)
        self.answer = answer
        self._held = held

    def call(self, values: Iterable[Any]) -> Any:
        return Prepared(self, (), tuple(values))()


class Prepared:
    """A function with the last of its arguments given: a call writes the first ones, and enters.

    `first`: numbers like those that it will be called with. For one thread at a time.
    """

    def __init__(self, entry: Entry, first: tuple[Any, ...], last: tuple[Any, ...]) -> None:
        letters = "".join(BROKEN if kind_of(value) == BROKEN else WHOLE for value in first)
        words = words_of(last)
        rest = "".join(BROKEN if isinstance(word, (float, np.floating)) else WHOLE for word in words)
        size = WORD * (FIRST + len(letters) + len(words))
        self._last = last  # their memory is ours too
        self._enter = entry.enter
        self._words = bytearray(size)
        self._block = (ctypes.c_char * size).from_buffer(self._words)
        self._address = ctypes.addressof(self._block)
        self._answer = memoryview(self._words).cast("d" if entry.answer == BROKEN else "q")
        self._write = struct.Struct(letters).pack_into
        struct.pack_into(rest, self._words, WORD * (FIRST + len(letters)), *words)

    def __call__(self, *first: Any) -> Any:
        self._write(self._words, WORD * FIRST, *first)
        if self._enter(self._address):
            raise _raised(self._words)
        return self._answer[ANSWER]


def load(image: Image) -> Entry:
    """Links the code into this process. Raises ImportError without llvmlite, RuntimeError where it does not link."""
    from llvmlite import binding as llvm  # type: ignore[import-untyped]

    builder = llvm.JITLibraryBuilder().add_object_img(image.code).add_current_process().export_symbol(image.symbol)
    library = builder.link(_linker(), f"{image.symbol}-{next(_NUMBERS)}")
    return Entry(library[image.symbol], image.answer, library)


@cache
def _linker() -> Any:
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_lljit_compiler(machine, suppress_errors=True)


def _raised(words: bytearray) -> BaseException:
    """The exception that a kernel has left: numba pickles its class and what it is made with."""
    address, length = struct.unpack_from("qq", words, WORD * RAISED)
    if address == 0:
        return RuntimeError("compiled code failed without saying why")
    kind, arguments, *_ = pickle.loads(ctypes.string_at(address, length))
    return kind(*(arguments or ()))  # type: ignore[no-any-return]
