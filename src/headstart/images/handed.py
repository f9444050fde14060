"""Pictures as programs hand them over: paths, contents of files, arrays."""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from headstart.errors import DataError
from headstart.images.archives import ArchiveError
from headstart.images.arrays import as_files
from headstart.images.pictures import Content
from headstart.images.sources import list_any

Given = str | os.PathLike[str] | bytes | np.ndarray
"""A path of a file or folder, the bytes of a picture file, or one or more pictures as an array."""


def handed_over(given: Given | Sequence[Given]) -> Iterator[str | Content]:
    """What was handed over, one picture at a time: paths of files, or contents of files, called `#0`, `#1`, ...

    Args:
        given: one or several. Arrays of pictures are one `(height, width)` or `(height, width, channels)`, or several
            `(pictures, height, width, channels)`.

    Raises:
        DataError: if there is no such file or folder, or something is not pictures.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray) else [given]
    count = 0
    for item in several:
        for one in _pictures_of(item, count):
            count += 1
            yield one


def _pictures_of(item: Given, first: int) -> Iterator[str | Content]:
    if isinstance(item, str | os.PathLike):
        yield from (picture.path for picture in list_any([item]))
    elif isinstance(item, bytes | bytearray | memoryview):
        yield Content(f"#{first}", bytes(item))
    elif hasattr(item, "__array_interface__"):  # NumPy's, and Pillow's pictures
        yield from (Content(f"#{first + row}", data) for row, data in enumerate(_files_of(np.asarray(item), first)))
    else:
        raise DataError(f"a picture is a path, bytes or an array; {type(item).__name__} was given as picture {first}.")


def _files_of(array: np.ndarray, first: int) -> Iterator[bytes]:
    is_one = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    stack = array[None] if is_one else array
    if not is_one and stack.ndim != 4:
        raise DataError(
            f"picture {first} is an array {array.shape}; a picture is (height, width) or (height, width, channels), "
            "several are (pictures, height, width, channels)."
        )
    try:
        yield from as_files(f"picture {first}", stack)
    except ArchiveError as error:
        raise DataError(f"{str(error).removeprefix('a file in which ')}.") from None
