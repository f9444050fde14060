"""Tensors as the Open Inference Protocol sends them: in JSON, or as bytes behind it (the binary tensor extension)."""

import base64
import binascii
import struct
from math import prod
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from headstart.serving.refusal import RefusedError

HEADER = "Inference-Header-Content-Length"
"""The header that says how much of a body is JSON, where bytes follow."""

_LENGTH = struct.Struct("<I")


class Given(msgspec.Struct):
    """A tensor that is sent. Its data are here, or follow as so many bytes as `binary_data_size` says."""

    name: Literal["pixels", "pictures"]
    shape: Annotated[list[int], msgspec.Meta(min_length=1, max_length=4)]
    datatype: Literal["UINT8", "BYTES"]
    parameters: dict[str, Any] = {}
    data: Any = None


class Taken:
    """Takes the data of one tensor after the other from the bytes behind the JSON."""

    def __init__(self, rest: bytes):
        self._rest = memoryview(rest)

    def next(self, tensor: Given) -> memoryview | None:
        """The bytes of a tensor; None if its data are in the JSON.

        Raises:
            RefusedError: 400, if there are not as many as it says.
        """
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            return None
        if type(size) is not int or not 0 <= size <= len(self._rest):
            raise RefusedError(
                400, f"{tensor.name!r} says a binary_data_size of {size!r}; {len(self._rest)} bytes are left."
            )
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def refuse_rest(self) -> None:
        """Refuse bytes that belong to no tensor.

        Raises:
            RefusedError: 400, if there are any.
        """
        if len(self._rest):
            raise RefusedError(400, f"{len(self._rest)} bytes are behind the last tensor.")


def bytes_of(tensor: Given, raw: memoryview | None) -> list[bytes]:
    """The elements of a tensor of BYTES; in JSON they are base64.

    Raises:
        RefusedError: 400, if it is no such tensor of one dimension.
    """
    if tensor.datatype != "BYTES":
        raise RefusedError(400, f"{tensor.name!r} is {tensor.datatype}, and BYTES is wanted.")
    found = _from_json(tensor) if raw is None else _from_bytes(tensor, raw)
    if tensor.shape not in ([len(found)], [len(found), 1]):
        raise RefusedError(400, f"{tensor.name!r} has the shape {tensor.shape} and {len(found)} elements.")
    return found


def _from_json(tensor: Given) -> list[bytes]:
    given = tensor.data if isinstance(tensor.data, list) else []
    flat = [one for row in given for one in (row if isinstance(row, list) else [row])]
    try:
        return [base64.b64decode(one, validate=True) for one in flat]
    except (binascii.Error, ValueError, TypeError):
        raise RefusedError(400, f"{tensor.name!r} is BYTES in JSON, which is base64 here; this is not.") from None


def _from_bytes(tensor: Given, raw: memoryview) -> list[bytes]:
    found, start = [], 0
    while start < len(raw):
        begin = start + _LENGTH.size
        if begin > len(raw):
            raise RefusedError(400, f"{tensor.name!r} ends within a length.")
        start = begin + _LENGTH.unpack_from(raw, start)[0]
        if start > len(raw):
            raise RefusedError(400, f"{tensor.name!r} ends within an element.")
        found.append(bytes(raw[begin:start]))
    return found


def pixels_of(tensor: Given, raw: memoryview | None, height: int, width: int) -> np.ndarray:
    """Pictures as pixels, uint8 `(n, height, width, 3)`.

    Raises:
        RefusedError: 400, if the tensor is something else.
    """
    shape = tensor.shape
    if tensor.datatype != "UINT8" or len(shape) != 4 or shape[1:] != [height, width, 3] or shape[0] < 1:
        wanted = f"UINT8 [n, {height}, {width}, 3]"
        raise RefusedError(400, f"{tensor.name!r} is {tensor.datatype} {shape}, and {wanted} is wanted.")
    flat = _numbers(tensor) if raw is None else np.frombuffer(raw, np.uint8)
    if flat.size != prod(shape):
        raise RefusedError(400, f"{tensor.name!r} has the shape {shape} and {flat.size} numbers.")
    return flat.reshape(shape)


def _numbers(tensor: Given) -> np.ndarray:
    try:
        found = np.asarray(tensor.data)
    except (ValueError, TypeError, OverflowError):
        found = np.array(None)
    if found.dtype.kind not in "iu" or (found.size and (found.min() < 0 or found.max() > 255)):
        raise RefusedError(400, f"{tensor.name!r} is UINT8: whole numbers from 0 to 255 are wanted.")
    return found.astype(np.uint8).ravel()


def as_bytes(values: "np.ndarray | list[bytes]") -> bytes:
    """The same the other way round: numbers of four bytes, or elements with their lengths."""
    if isinstance(values, list):
        return b"".join(_LENGTH.pack(len(one)) + one for one in values)
    return np.ascontiguousarray(values, "<f4").tobytes()
