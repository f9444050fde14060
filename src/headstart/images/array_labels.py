"""Arrays of labels, whatever they hold: texts, integers, truth values or one-hot rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from headstart.images.archives import ArchiveError


def by_label(name: str, labels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each label with the rows that have it, integer `(rows,)`, sorted.

    Args:
        name: of the array, for messages.
        labels: texts `(pictures,)`.

    Raises:
        ArchiveError: if a label could not be the name of a folder.
    """
    found, places = np.unique(labels, return_inverse=True)
    order, counts = np.argsort(places, kind="stable"), np.bincount(places, minlength=len(found))
    for label, rows in zip(found, np.split(order, np.cumsum(counts)), strict=False):
        text = str(label)
        if not text.strip() or "/" in text or text in (".", "..") or not is_writable(text):
            raise ArchiveError(f"a file in which {name} has the label {text!r}, which no folder could have")
        yield text, rows


def as_labels(name: str, array: Any, count: int, names: np.ndarray | None) -> np.ndarray:
    """Labels as texts, `(count,)`, whether they were integers, texts or one-hot rows.

    Args:
        name: of the array, for messages.
        array: `(count,)`, `(count, 1)` or one-hot `(count, classes)`; a list will do.
        count: how many pictures there are.
        names: of the classes that integers stand for, `(classes,)`; None where these are names themselves.

    Raises:
        ArchiveError: if it holds no labels.
    """
    if is_text(array):
        try:
            return np.array(_texts(array))
        except SystemError:  # NumPy's, for numbers that stand for no character
            raise ArchiveError(f"a file in which {name} holds texts that are none") from None
    try:
        found = np.asarray(array[:])
    except (ValueError, TypeError, OverflowError, RecursionError):  # lists of lists of different lengths, of anything
        raise ArchiveError(f"a file in which {name} holds no numbers or texts that could be labels") from None
    numbers = _class_numbers(name, found, count)
    if names is None:
        return np.asarray(numbers.astype(str))
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= len(names):
        raise ArchiveError(f"a file in which {name} counts to {numbers.max()}, with {len(names)} class names")
    return np.asarray(names[numbers])


def _class_numbers(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Integers `(count,)` from whole numbers or truth values `(count,)` or `(count, 1)`, or from one-hot rows."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
        raise ArchiveError(
            f"a file in which {name} is {shape_of(labels)}; labels have one number or text for a picture"
        )
    if labels.ndim == 2:
        if not np.array_equal(labels.sum(axis=1), np.ones(count)) or not np.isin(labels, (0, 1)).all():
            raise ArchiveError(f"a file in which the rows of {name} are not one-hot: one 1 in each, and zeros")
        return np.asarray(labels.argmax(axis=1))
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and np.array_equal(labels, np.round(labels))):
        raise ArchiveError(f"a file in which {name} holds numbers that are not whole, so they are no labels")
    return labels.astype(np.int64)


def is_text(array: Any) -> bool:
    """Whether an array, or a list, holds texts alone."""
    kind = getattr(getattr(array, "dtype", None), "kind", None)
    if kind is None or kind == "O":
        return length(array) > 0 and all(isinstance(item, str | bytes) for item in array[:])
    return kind in "SUT"


def _texts(array: Any) -> list[str]:
    return [_text(item) for item in array]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def length(array: Any) -> int:
    """How many rows there are; -1 for a number."""
    try:
        return len(array)
    except TypeError:  # a number
        return -1


def shape_of(array: Any) -> str:
    """Type and shape of an array, or of a list, in words."""
    shape = getattr(array, "shape", None)
    return f"{array.dtype} {tuple(shape)}" if shape is not None else f"{type(array).__name__} of {length(array)}"


def is_writable(text: str) -> bool:
    """Whether it could be the name of a file: some characters of Unicode are none by themselves."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
