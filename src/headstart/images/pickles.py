"""Pickles of NumPy arrays in plain containers, read without running anything.

A pickle is a program for a small machine, and Python's own machine can call any function there is. This one knows the
instructions that build lists, tuples, dicts, texts, numbers and arrays, and has nothing to call. Arrays stay in the
file, which is mapped into memory, so that pickles larger than memory can be read.

Source: the instructions are those that `pickletools` of the standard library documents.
"""

import mmap
import os
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from headstart.images.archives import ArchiveError

_PLAIN_TYPE = re.compile(r"[<>|=]?([biuf]\d{1,2}|[US]\d{1,6}|O\d?)")
_DEEPEST = 3  # containers within containers
_MOST_ARRAYS = 10_000
_LONG = 1 << 16  # stretches of the file above this many bytes are not copied
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_MADE = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_GATHERED: dict[str, Callable[[list[Any]], Any]] = {
    "LIST": list,
    "TUPLE": tuple,
    "DICT": lambda items: _dict(items),
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = ("PROTO", "FRAME")
_VALUES = re.compile(r"(SHORT_)?(BIN)?(BYTES|UNICODE|INT|FLOAT)[1248]?|LONG[14]?|BYTEARRAY8")


class _Mark:
    """Where a list, tuple or dict that is being gathered begins."""


@dataclass(frozen=True)
class _Name:
    """A function or class that a pickle asks for."""

    module: str
    name: str


@dataclass
class _Type:
    """What `numpy.dtype` would make."""

    text: str
    swapped: bool = False


@dataclass
class _Array:
    """An array that is being built."""

    value: Any = None


def looks_like_pickle(path: str) -> bool:
    """Whether a file begins and ends as a binary pickle (protocol 2 to 5) does."""
    with open(path, "rb") as file:
        start = file.read(2)
        if len(start) < 2 or start[0] != 0x80 or not 2 <= start[1] <= 5:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"."


def read_pickle(path: str) -> dict[str, Any]:
    """The arrays in a pickle, by name.

    A dict gives its own names; `(x, y)` and `((x_train, y_train), (x_test, y_test))`, which is what
    `keras.datasets.*.load_data` returns, give these.

    Raises:
        ArchiveError: if it is damaged or asks for anything but arrays and plain containers.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        found = run_pickle(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    named = _named(found)
    if named is None:
        raise ArchiveError(
            f"a pickle of a {type(found).__name__}; one of a dict, {{'cat': array, 'dog': array}}, or of "
            "(pictures, labels) is needed"
        )
    return named


def run_pickle(data: mmap.mmap | bytes) -> Any:
    """What is in a pickle: lists, tuples, dicts, texts, bytes, numbers, None, and NumPy arrays.

    Args:
        data: all of it. Arrays share its memory.

    Raises:
        ArchiveError: if it is damaged or asks for anything else.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(_Tape(data)):  # type: ignore[arg-type]
            machine.step(opcode.name, argument)
        return machine.result()
    except ArchiveError:
        raise
    except AttributeError:  # texts of Python 2 are decoded, which long stretches of the file cannot be
        raise ArchiveError("a pickle written by Python 2; load it there and save the arrays as .npz") from None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError, struct.error) as error:
        raise ArchiveError(f"not a pickle that can be read: {' '.join(str(error).split())}") from error


class _Tape:
    """The file as `pickletools` reads it; what is long is handed out without copying it."""

    def __init__(self, data: mmap.mmap | bytes):
        self._view = memoryview(data)
        self._data = data
        self._at = 0

    def read(self, count: int) -> bytes | memoryview:
        stretch = self._view[self._at : self._at + count]
        self._at += len(stretch)
        return stretch if len(stretch) > _LONG else bytes(stretch)

    def readline(self) -> bytes:
        end = self._data.find(b"\n", self._at) + 1 or len(self._view)
        line = bytes(self._view[self._at : end])
        self._at = end
        return line

    def tell(self) -> int:
        return self._at


class _Machine:
    """Carries out the harmless instructions of a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self._stack
        return _finished(value)

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction.

        Raises:
            ArchiveError: if it is not one of the harmless ones.
        """
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _MADE:
            self._stack.append(_MADE[name]())
        elif _VALUES.fullmatch(name):
            self._stack.append(argument)
        elif name in _GATHERED:
            self._stack.append(_GATHERED[name](self._gathered()))
        elif name in _SHORT_TUPLES:
            self._stack.append(tuple(self._pop(_SHORT_TUPLES[name])))
        elif (instruction := getattr(self, f"_do_{name.lower()}", None)) is not None:
            instruction(argument)
        elif name not in _IGNORED:
            raise ArchiveError(f"a pickle with the instruction {name}, which no array needs, so it is not read")

    def _pop(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise ValueError("it takes more than it has")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _gathered(self) -> list[Any]:
        start = len(self._stack) - 1
        while not isinstance(self._stack[start], _Mark):
            start -= 1
            if start < 0:
                raise ValueError("it gathers what was never begun")
        items = self._stack[start + 1 :]
        del self._stack[start:]
        return items

    def _do_mark(self, _: Any) -> None:
        self._stack.append(_Mark())

    def _do_stop(self, _: Any) -> None:
        """The end."""

    def _do_pop(self, _: Any) -> None:
        self._pop(1)

    def _do_pop_mark(self, _: Any) -> None:
        self._gathered()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_append(self, _: Any) -> None:
        (item,) = self._pop(1)
        self._extend([item])

    def _do_appends(self, _: Any) -> None:
        self._extend(self._gathered())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise ValueError("it appends to what is no list")
        self._stack[-1].extend(items)

    def _do_setitem(self, _: Any) -> None:
        self._update(self._pop(2))

    def _do_setitems(self, _: Any) -> None:
        self._update(self._gathered())

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise ValueError("it sets items of what is no dict")
        self._stack[-1].update(_dict(items))

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_put(self, place: Any) -> None:
        self._memo[int(place)] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_get(self, place: Any) -> None:
        self._stack.append(self._memo[int(place)])

    _do_binget = _do_long_binget = _do_get

    def _do_global(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._name(module, name)

    def _do_stack_global(self, _: Any) -> None:
        module, name = self._pop(2)
        self._name(str(module), str(name))

    def _name(self, module: str, name: str) -> None:
        if _core(module, name) not in _BUILDERS and (module, name) != ("numpy", "ndarray"):
            raise ArchiveError(
                f"a pickle that asks for {f'{module}.{name}'!r}, which no array needs, so it is not read"
            )
        self._stack.append(_Name(module, name))

    def _do_reduce(self, _: Any) -> None:
        asked, arguments = self._pop(2)
        self._stack.append(_BUILDERS[_core(asked.module, asked.name)](*arguments))

    def _do_build(self, _: Any) -> None:
        target, state = self._stack[-2], self._pop(1)[0]
        if isinstance(target, _Type):
            target.swapped = state[1] == ">"
        elif isinstance(target, _Array):
            _, shape, kind, fortran, content = state
            target.value = _array(content, kind, shape, "F" if fortran else "C")
        else:
            raise ValueError("it gives a state to what has none")


def _core(module: str, name: str) -> tuple[str, str]:
    """NumPy 2 has renamed `numpy.core` to `numpy._core`."""
    return module.replace("numpy._core", "numpy.core"), name


def _encoded(text: str, encoding: str) -> bytes:
    """How bytes are written in protocol 2."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in {encoding}")
    return text.encode("latin-1")


def _scalar(kind: _Type, content: bytes) -> Any:
    return _array(content, kind, (), "C")[()]


_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda text, *_: _Type(_text(text)),
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.numeric", "_frombuffer"): lambda content, kind, shape, order: _array(content, kind, shape, order),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): lambda: b"",  # how none of them are written in protocol 2
    ("collections", "OrderedDict"): lambda: {},
}
"""What stands in for the functions that pickles of arrays ask for."""


def _array(content: Any, kind: Any, shape: Any, order: str) -> Any:
    """An array over some bytes, or the list that an array of objects holds.

    Raises:
        ValueError: if they do not fit together.
    """
    if not isinstance(kind, _Type) or not _PLAIN_TYPE.fullmatch(kind.text):
        raise ValueError("an array of something else than numbers and texts")
    if isinstance(content, list):
        return content
    sides = [int(side) for side in shape]
    dtype = np.dtype(kind.text)
    if kind.swapped:
        dtype = dtype.newbyteorder(">")
    if dtype.hasobject or min(sides, default=0) < 0:
        raise ValueError(f"an array of {sides} {dtype}")
    if len(content) != dtype.itemsize * int(np.prod(sides, dtype=object)):
        raise ValueError(f"an array of {sides} {dtype} with {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(sides, order=order)  # type: ignore[call-overload]


def _dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _finished(value: Any, depth: int = _DEEPEST, known: dict[tuple[int, int], Any] | None = None) -> Any:
    """The value with its arrays. Deeper down there is nothing that could be a picture.

    What is in many places is finished once: small pickles can describe lists of lists with billions of items.
    """
    known = {} if known is None else known
    if isinstance(value, _Array):
        return value.value
    if depth == 0 or not isinstance(value, dict | list | tuple):
        return value
    key = (id(value), depth)
    if key not in known:
        if isinstance(value, dict):
            known[key] = {name: _finished(item, depth - 1, known) for name, item in value.items()}
        else:
            known[key] = [_finished(item, depth - 1, known) for item in value]
    return known[key]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _named(found: Any) -> dict[str, Any] | None:
    if isinstance(found, dict):
        named = dict(islice(_flat(found, "", _DEEPEST), _MOST_ARRAYS + 1))
        if len(named) > _MOST_ARRAYS:
            raise ArchiveError(f"a pickle with more than {_MOST_ARRAYS:,} arrays")
        return named
    if not isinstance(found, list) or len(found) != 2:
        return None
    first, second = found
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second) == 2:
        return {"x_train": first[0], "y_train": first[1], "x_test": second[0], "y_test": second[1]}
    return {"x": first, "y": second}


def _flat(values: dict[Any, Any], above: str, depth: int) -> Iterator[tuple[str, Any]]:
    """What is in a dict, that of dicts in it by names with a slash; those too deep down are nothing."""
    for key, value in values.items():
        name = f"{above}{_text(key)}"
        if isinstance(value, dict) and depth:
            yield from _flat(value, f"{name}/", depth - 1)
        else:
            yield name, None if isinstance(value, dict) else value
