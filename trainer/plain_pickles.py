"""Pickles of plain values and arrays of bytes, read without running what is in them.

A pickle is a program. Read here are only those that make numbers, texts, lists, dicts and numpy arrays of bytes, as
the Python version of CIFAR is kept: their operations are looked through first, and the three functions of numpy that
they name are ours, which make an array and nothing else. Whatever else a pickle asks for is refused by its name.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

# What such pickles do, in the words of `pickletools`: no instances of classes, no persistent or registered objects.
PLAIN = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 "
    "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
# numpy 2 moved its inner modules; pickles of every version are read.
_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")


class RefusedPickle(ValueError):
    """A pickle that does more than make plain values and arrays of bytes; the message says what."""


class PickledArray:
    """An array of bytes as a pickle builds it; `array` is there once it is whole.

    Attributes:
        array: The array, uint8.
    """

    __slots__ = ("array",)

    array: np.ndarray

    def __setstate__(self, state: Any) -> None:
        """Takes numpy's own state of an array: version, shape, type, whether its first axis is the fastest, bytes."""
        try:
            *_, shape, kind, fortran, content = state
            flat = np.frombuffer(content, np.uint8)
            if not isinstance(kind, _ByteType):
                raise RefusedPickle("an array of other numbers than bytes")
            self.array = flat.reshape(shape, order="F" if fortran else "C")
        except (TypeError, ValueError) as error:
            raise RefusedPickle(f"a damaged array ({error})") from error


class _ByteType:
    """numpy's dtype of bytes, as a pickle builds it."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order and the like, which bytes do not have."""


class _Function:
    """A function that a pickle may call; nothing of it can be set from there."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *given: Any) -> Any:
        return self._call(*given)

    def __setstate__(self, state: Any) -> None:
        raise RefusedPickle("a function of other members")


class _Mark:
    """A class that a pickle names and that is never called."""

    __slots__ = ()


def plain_unpickled(content: bytes) -> Any:
    """The value of a pickle of plain values and arrays of bytes.

    Args:
        content: The pickle, of any protocol; texts of Python 2 become bytes.

    Returns:
        The value; arrays as `PickledArray`.

    Raises:
        RefusedPickle: If it is none, is damaged, or does anything else.
    """
    try:
        _look_through(content)
        return _Reader(io.BytesIO(content), encoding="bytes").load()
    except RefusedPickle:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise RefusedPickle(f"no whole pickle ({type(error).__name__}: {error})") from error


def _look_through(content: bytes) -> None:
    for operation, argument, _ in pickletools.genops(content):
        if operation.name not in PLAIN:
            raise RefusedPickle(f"the operation {operation.name}")
        if operation.name in _PUTS and int(argument or 0) > len(content):  # Python makes room for as many
            raise RefusedPickle(f"a place {argument} for one of fewer values")


class _Reader(pickle.Unpickler):
    """Python's own reader, to which nothing is known but what makes an array of bytes."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in _CORES:
            return _Function(lambda *_: PickledArray())
        if (module, name) == ("numpy", "ndarray"):
            return _Mark()
        if (module, name) == ("numpy", "dtype"):
            return _Function(_byte_type)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in the pickles of Python 2
            return _Function(_latin)
        raise RefusedPickle(f"{module}.{name}")


def _byte_type(name: Any, *_: Any) -> _ByteType:
    if name not in ("u1", b"u1"):
        raise RefusedPickle(f"an array of {name!r} instead of bytes")
    return _ByteType()


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise RefusedPickle(f"an encoding {encoding!r}")
    return text.encode("latin1")
