"""Files of arrays: what is in an `.npy`, `.npz`, HDF5 or pickle file, by name, without reading more than is asked for.

Whatever the file, nothing in it is executed: arrays of Python objects, links to other files and pickled functions are
refused.
"""

import os
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from headstart.images.archives import DAMAGE, ArchiveError
from headstart.images.pickles import looks_like_pickle, read_pickle
from headstart.images.quiet import no_warnings

Named = dict[str, Any]
"""What can be indexed by row, by name: arrays that stay on disk, or lists. `/` in a name is a folder."""

_NPY, _HDF5 = b"\x93NUMPY", b"\x89HDF\r\n\x1a\n"
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip's member: lengths of its name and of what is behind that
_PICTURES = re.compile(r"(?<![a-z])(x|images|pictures|data)(?![a-z])", re.IGNORECASE)
_CHUNK = 1 << 20
_DEEPEST = 4  # groups within groups
_HDF5_CACHE = 64 << 20  # rows are read class by class, so one chunk serves again and again


def is_array_file(path: str) -> bool:
    """Whether it is a file of arrays, by its content; not if it cannot be read."""
    try:
        return _reader(path) is not None
    except OSError:
        return False


def read_arrays(path: str) -> Named:
    """The arrays in a file.

    Raises:
        ArchiveError: if it is none, is damaged, or holds what would have to be executed.
        OSError: if it cannot be read.
    """
    reader = _reader(path)
    if reader is None:
        raise ArchiveError("not a file of arrays")
    return reader(path)


def beside(path: str) -> str | None:
    """The file of labels beside an `.npy` file of pictures, as `y_train.npy` beside `x_train.npy`; None for none."""
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    if suffix.lower() != ".npy":
        return None
    names = [_PICTURES.sub(word, stem, count=1) for word in ("y", "labels")] if _PICTURES.search(stem) else []
    places = [os.path.join(folder, other + suffix) for other in (*names, f"{stem}_labels")]
    return next((place for place in places if os.path.isfile(place)), None)


def _reader(path: str) -> Callable[[str], Named] | None:
    with open(path, "rb") as file:
        start = file.read(len(_HDF5))
    if start.startswith(_NPY):
        return _read_npy
    if start == _HDF5:
        return _read_hdf5
    if start.startswith(b"PK") and _is_npz(path):
        return _read_npz
    return read_pickle if looks_like_pickle(path) else None


def _is_npz(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGE:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _read_npy(path: str) -> Named:
    named = {Path(path).stem: _mapped(path, 0, os.path.getsize(path))}
    labels = beside(path)
    if labels is not None:
        named[Path(labels).stem] = _mapped(labels, 0, os.path.getsize(labels))
    return named


def _read_npz(path: str) -> Named:
    named = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = _stored_at(path, member)
                named[member.filename.removesuffix(".npy")] = (
                    _mapped(path, place, member.file_size) if place is not None else _unpacked(archive, member)
                )
    except ArchiveError:
        raise
    except (*DAMAGE, OSError) as error:
        raise ArchiveError(f"not an .npz file that can be read: {_reason(error)}") from error
    return named


def _stored_at(path: str, member: zipfile.ZipInfo) -> int | None:
    """Where the bytes of a member begin that is stored as it is; None where it is packed."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        return None
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(member.header_offset + _LOCAL_HEADER.size + name + extra)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """A packed array, unpacked to a file that is gone with the process: on disk and not in memory."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if member.file_size > free // 2:
        raise ArchiveError(
            f"too large to be unpacked: {member.filename} takes {member.file_size / 1e9:.1f} GB, and there are "
            f"{free / 1e9:.1f} GB in {tempfile.gettempdir()}"
        )
    # The file has no name that could stay behind; it lasts as long as it is mapped.
    with tempfile.TemporaryFile() as file:
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, file, _CHUNK)
        return _map(file, 0, member.file_size)


def _mapped(path: str, start: int, size: int) -> np.ndarray:
    with open(path, "rb") as file:
        return _map(file, start, size)


def _map(file: IO[bytes], start: int, size: int) -> np.ndarray:
    """An array in the `.npy` format that stays in its file."""
    file.seek(start)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with no_warnings():  # of files that Python 2 has written
            shape, fortran, dtype = read(file)
    except Exception as error:  # the header is Python, and its parsers raise whatever the damage provokes
        raise ArchiveError(f"not an array that can be read: {_reason(error)}") from error
    if dtype.hasobject:
        raise ArchiveError("an array of Python objects, which could run code when it is read, so it is not")
    offset = file.tell()
    wanted = dtype.itemsize * int(np.prod(shape, dtype=object))
    if min(shape, default=1) < 0 or wanted > start + size - offset:
        raise ArchiveError(f"damaged: an array of {shape} {dtype} takes {wanted:,} bytes; it has {size:,}")
    if wanted == 0:
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")


def _read_hdf5(path: str) -> Named:
    try:
        import h5py
    except ImportError:
        raise ArchiveError("an HDF5 file, which takes h5py: pip install 'headstart[train]'") from None
    try:
        return dict(_datasets(h5py.File(path, "r", rdcc_nbytes=_HDF5_CACHE), ""))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"not an HDF5 file that can be read: {_reason(error)}") from error


def _datasets(group: Any, above: str) -> Iterator[tuple[str, Any]]:
    """The datasets in a group, by their names below the first one."""
    import h5py

    if above.count("/") > _DEEPEST:
        raise ArchiveError(f"nested too deeply at {above}")
    for name in group:
        link, here = group.get(name, getlink=True), f"{above}{name}"
        if not isinstance(link, h5py.HardLink):
            raise ArchiveError(f"not read: {here} is a link out of its place, which could lead to any file")
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from _datasets(found, f"{here}/")
        elif found.is_virtual or found.external:
            raise ArchiveError(f"not read: the data of {here} is in another file")
        else:
            yield here, found


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
