"""A file of arrays as a tree of folders with a picture file for every row: `faces.npz/men/0017.ppm`.

A row is handed out as the bytes of a PPM or PGM file (Netpbm), which hold the pixels as they are. So an array is read,
digested, split and decoded as any other picture is, one at a time.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from headstart.images.archives import MAX_BYTES, ArchiveError
from headstart.images.array_formats import Named, read_arrays
from headstart.images.array_labels import as_labels, by_label, is_text, is_writable, length, shape_of
from headstart.images.pictures import SIDE_NAMES

_PICTURE_WORDS = {"x", "image", "images", "picture", "pictures", "data", "pixels", "inputs"}
_LABEL_WORDS = {"y", "label", "labels", "target", "targets", "class", "classes"}
_CLASS_NAMES = ("class_names", "label_names", "classes", "names")
_CHANNELS = (1, 3, 4)
_SUFFIX = ".ppm"  # whether it is one of three channels or of one, which its content says
_SCANNED_AT_ONCE = 1 << 22  # values


class _Pictures(NamedTuple):
    """One array of pictures.

    Attributes:
        rows: what can be indexed by row.
        to_pixels: from a row to uint8 `(height, width)` or `(height, width, 3)`.
    """

    rows: Any
    to_pixels: Callable[[Any], np.ndarray]


@dataclass
class _Folder:
    """The rows of one array that are in one folder: all of them, or those with one label."""

    pictures: _Pictures
    rows: Sequence[int] | np.ndarray


class ArrayFile:
    """An `.npy`, `.npz`, HDF5 or pickle file with pictures, to be read as `headstart.images.archives.Archive` is.

    Pictures are `(pictures, height, width)` or `(pictures, height, width, channels)` with 1, 3 or 4 channels, or have
    their channels first; integers from 0 to 255 or 0 to 65535, floats from 0 to 1 or 0 to 255, or truth values. Each
    array beside one of labels (`x_train` and `y_train`, `images` and `labels`) is divided by these: integers, texts or
    one-hot rows; integers count in an array of class names, if there is one. Without labels each array is a class of
    its own.

    Args:
        path: the file.

    Raises:
        ArchiveError: if it cannot be read, or is nothing of that kind; the message says what is in it.
        OSError: if it cannot be read.
    """

    def __init__(self, path: str):
        is_lone = os.path.basename(path).lower().endswith(".npy")
        self._lock = threading.Lock()
        self._folders: dict[str, _Folder] = {}
        self._children: dict[str, dict[str, None]] = {"": {}}
        self.problems: Mapping[str, str] = {}
        for name, folder in _arranged(read_arrays(path), is_lone):
            self._add(name, folder)

    def is_folder(self, name: str) -> bool:
        """Whether that is a folder; the empty name is the file itself."""
        return name in self._children

    def is_file(self, name: str) -> bool:
        """Whether that is a picture."""
        try:
            self._find(name)
        except ArchiveError:
            return False
        return True

    def children(self, folder: str) -> Iterator[tuple[str, str, bool]]:
        """What is in a folder: for each its own name, its name in the file and whether it is a folder."""
        for child in self._children[folder]:
            yield child, f"{folder}/{child}" if folder else child, True
        if folder in self._folders:
            found = self._folders[folder]
            digits = _digits(found.pictures)
            for row in found.rows:
                name = f"{row:0{digits}d}{_SUFFIX}"
                yield name, f"{folder}/{name}" if folder else name, False

    def size_of(self, name: str) -> int:
        """About as many bytes as the picture has; 0 where there is none."""
        try:
            pictures, row = self._find(name)
        except ArchiveError:
            return 0
        rows = pictures.rows
        return int(rows[row].nbytes if isinstance(rows, list) else np.prod(rows.shape[1:]) * rows.dtype.itemsize)

    def read(self, name: str) -> bytes:
        """A picture as a PPM or PGM file.

        Raises:
            ArchiveError: if there is none of that name, or its values are no pixels.
        """
        pictures, row = self._find(name)
        with self._lock:  # HDF5 is read by one thread at a time anyway
            try:
                found = pictures.rows[row]
            except (OSError, RuntimeError, ValueError) as error:
                raise ArchiveError(f"damaged in its file: {' '.join(str(error).split())}") from error
        return _as_netpbm(pictures.to_pixels(found))

    def _add(self, name: str, folder: _Folder) -> None:
        above = ""
        for part in name.split("/") if name else ():
            self._children[above][part] = None
            above = f"{above}/{part}" if above else part
            self._children.setdefault(above, {})
        self._folders[name] = folder

    def _find(self, name: str) -> tuple[_Pictures, int]:
        above, _, file = name.rpartition("/")
        folder = self._folders.get(above)
        stem, _, suffix = file.partition(".")
        if folder is not None and stem.isascii() and stem.isdecimal() and len(stem) < 19:
            row = int(stem)
            is_usual = f".{suffix}" == _SUFFIX and len(stem) == _digits(folder.pictures)
            if is_usual and row < len(folder.pictures.rows):
                return folder.pictures, row
        raise ArchiveError("no such picture in the file")


def as_files(name: str, array: np.ndarray) -> Iterator[bytes]:
    """The pictures of one array, each as a PPM or PGM file.

    Args:
        name: what the array is called, for the message.
        array: as `ArrayFile` takes them.

    Raises:
        ArchiveError: if it is no array of pictures.
    """
    pictures = _as_pictures(name, array)
    if pictures is None:
        raise ArchiveError(f"a file in which {name} is {shape_of(array)}. {_WANTED}")
    for row in pictures.rows:
        yield _as_netpbm(pictures.to_pixels(row))


def _digits(pictures: _Pictures) -> int:
    """How many digits the number of a picture has."""
    return len(str(max(len(pictures.rows) - 1, 0)))


def _as_netpbm(pixels: np.ndarray) -> bytes:
    """The bytes of a binary PPM (three channels) or PGM (one) file."""
    rows, columns = pixels.shape[:2]
    if pixels.nbytes > MAX_BYTES:
        raise ArchiveError(f"larger than {MAX_BYTES >> 20} MiB")
    kind = b"P6" if pixels.ndim == 3 else b"P5"
    return b"%b\n%d %d\n255\n" % (kind, columns, rows) + pixels.tobytes()


def _arranged(named: Named, is_lone: bool) -> Iterator[tuple[str, _Folder]]:
    """The folders there are, by name.

    Args:
        named: the arrays.
        is_lone: whether they are of a file whose name is that of the array, so that a folder of that name says nothing.
    """
    pictures = {name: found for name, array in named.items() if (found := _as_pictures(name, array)) is not None}
    rest = {name: array for name, array in named.items() if name not in pictures}
    if not pictures:
        raise ArchiveError(f"a file without an array of pictures; {_listed(named)}. {_WANTED}")
    names = next((as_labels(name, rest[name], 0, None) for name in _CLASS_NAMES if is_text(rest.get(name))), None)
    pairs = {name: _labels_of(name, named, pictures) for name in pictures}
    for name, found in pictures.items():
        labels, above = pairs[name], _folder_name(name)
        if labels is not None:
            side = _side(name)
            for label, rows in by_label(labels, as_labels(labels, named[labels], len(found.rows), names)):
                yield (f"{side}/{label}" if side else label), _Folder(found, rows)
        elif not any(pairs.values()):
            yield ("" if is_lone and len(pictures) == 1 else above), _Folder(found, range(len(found.rows)))
        else:
            raise ArchiveError(f"a file in which {name} has no labels and others do; {_listed(named)}. {_WANTED}")


_WANTED = (
    "Needed are pictures (count, height, width, channels) with a name like x_train and labels with one like y_train, "
    "or one array of pictures for each class, by its name"
)


def _labels_of(name: str, named: Named, pictures: Mapping[str, Any]) -> str | None:
    """The array of labels that goes with one of pictures."""
    others = [other for other in named if other not in pictures and other not in ("class_names", "label_names")]
    key = _without(name, _PICTURE_WORDS)
    if key is not None:
        for other in others:
            if _without(other, _LABEL_WORDS) == key and length(named[other]) == length(named[name]):
                return other
    fitting = [other for other in others if length(named[other]) == length(named[name])]
    return fitting[0] if len(pictures) == len(fitting) == 1 else None


def _without(name: str, words: set[str]) -> frozenset[str] | None:
    """What a name says beside one of some words; None if it has none of them."""
    parts = _parts(name)
    return frozenset(parts) - words if words & set(parts) else None


def _parts(name: str) -> list[str]:
    return name.lower().replace("/", "_").replace("-", "_").split("_")


def _side(name: str) -> str | None:
    """The side that the name of a labelled array speaks of."""
    return next((SIDE_NAMES[part] for part in _parts(name) if part in SIDE_NAMES), None)


def _folder_name(name: str) -> str:
    if not is_writable(name):
        raise ArchiveError(f"a file with an array called {name!r}, which no folder could be called")
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "_"


def _as_pictures(name: str, array: Any) -> _Pictures | None:
    """The array as pictures; None if it is something else."""
    if isinstance(array, list):
        if array and all(isinstance(item, np.ndarray) and item.ndim in (2, 3) for item in array):
            highest = _highest(name, array)
            return _Pictures(array, lambda row: _scaled(_arrange(row), highest))
        return None
    shape, kind = tuple(getattr(array, "shape", ())), getattr(getattr(array, "dtype", None), "kind", "")
    if len(shape) not in (3, 4) or kind not in "biuf" or not kind:
        return None
    if len(shape) == 4 and shape[3] not in _CHANNELS and shape[1] not in _CHANNELS:
        raise ArchiveError(
            f"a file in which {name} has the shape {shape}; a picture has 1, 3 or 4 channels, first or last"
        )
    highest = _highest(name, _stretches(array))
    return _Pictures(array, lambda row: _scaled(_arrange(row), highest))


def _arrange(row: np.ndarray) -> np.ndarray:
    """Channels last, one or three of them; alpha is dropped."""
    if row.ndim == 3 and row.shape[2] not in _CHANNELS:
        row = np.moveaxis(row, 0, 2)
    if row.ndim == 2:
        return row
    return row[:, :, 0] if row.shape[2] == 1 else row[:, :, :3]


def _stretches(array: Any) -> Iterator[np.ndarray]:
    """All of an array, some rows at a time."""
    step = max(1, _SCANNED_AT_ONCE // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), step):
        yield np.asarray(array[start : start + step])


def _highest(name: str, stretches: Iterable[np.ndarray]) -> float:
    """The highest value of pixels: 1, 255 or more.

    Raises:
        ArchiveError: if they cannot be pixels.
    """
    highest = 1.0
    for values in stretches:
        if values.dtype == np.uint8:
            return 255.0
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        # A comparison with what is not a number is false.
        if not (low >= 0 and high <= (255 if values.dtype.kind == "f" else 65535)):
            raise ArchiveError(
                f"a file in which {name} holds values from {low:g} to {high:g}, which are no pixels: these go from 0 "
                "to 255, or from 0 to 1"
            )
        highest = max(highest, high)
    return highest


def _scaled(row: np.ndarray, highest: float) -> np.ndarray:
    """Pixels as uint8, by the highest value in the whole array."""
    if row.dtype == np.uint8:
        return row
    if highest <= 1:
        return np.asarray(np.round(row * np.float64(255))).astype(np.uint8)
    return np.asarray(row >> 8 if highest > 255 else np.round(row)).astype(np.uint8)


def _listed(named: Named) -> str:
    shapes = [f"{name} {shape_of(array)}" for name, array in list(named.items())[:8]]
    return f"it holds {', '.join(shapes) or 'nothing'}" + (" and more" if len(named) > 8 else "")
