"""Where pictures are: in folders, here or in object storage, in zips or in files of arrays, which are read as folders.

A member of a zip is called by the path of the zip with its own name behind it, `pets.zip/cat/1.jpg`, and a row of an
array by its number, `pets.npz/cat/001.ppm`. No file can have such a path, since what is before the name is no folder.
"""

import errno
import io
import os
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from headstart.images import buckets
from headstart.images.archives import MAX_BYTES, Archive, ArchiveError
from headstart.images.array_formats import beside, is_array_file
from headstart.images.arrays import ArrayFile
from headstart.objects.addresses import Address, is_address
from headstart.objects.requests import AT_ONCE, Found, read
from headstart.threads import cores, in_order

Stat = buckets.Stat
"""Size in bytes, modification and change time in nanoseconds, inode."""

_OPEN_ARCHIVES = 64


@dataclass(frozen=True)
class Entry:
    """What is in a folder.

    Attributes:
        name: its name there.
        path: where it is.
        is_folder: whether it is a folder, or a link to one.
        is_link: whether it is a link.
        problem: why it is no file that can be read; empty for files and folders.
    """

    name: str
    path: str
    is_folder: bool
    is_link: bool = False
    problem: str = ""


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether it is a folder, a zip or a file of arrays, or a folder in one of these.

    Raises:
        ArchiveError: if it is in a damaged one.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(path):
        return buckets.children(path) is not None
    if os.path.isdir(path):
        return True
    place = _in_archive(os.fspath(path))
    return place is not None and is_archive(place[0]) and _opened(place[0]).is_folder(place[1])


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether it is a file, or a member of a zip or of a file of arrays.

    Raises:
        ArchiveError: if it is in a damaged one.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(path):
        return _is_object(path)
    if os.path.isfile(path):
        return True
    place = None if os.path.isdir(path) else _in_archive(os.fspath(path))
    return place is not None and is_archive(place[0]) and _opened(place[0]).is_file(place[1])


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether it is a file as above, whatever has become of what it was in.

    Raises:
        StorageError: if the object storage that it is in cannot be used.
    """
    try:
        return is_file(path)
    except (ArchiveError, OSError, ValueError):
        return False


def entries(folder: str | os.PathLike[str]) -> list[Entry]:
    """What is in a folder, in no order.

    Raises:
        OSError: if it cannot be read.
        ArchiveError: if it is in a damaged zip.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(folder):
        return [_of_bucket(found) for found in buckets.children(folder) or ()]
    place = None if os.path.isdir(folder) else _in_archive(os.fspath(folder))
    if place is None:
        with os.scandir(folder) as found:
            return [_of_file_system(entry) for entry in found]
    path, inner = place
    archive = _opened(path)
    return [
        Entry(child, os.path.join(path, name), inside, problem=archive.problems.get(name, ""))
        for child, name, inside in archive.children(inner)
    ]


def read_file(path: str) -> bytes:
    """The bytes of a file, or of a member of a zip or of a file of arrays.

    Raises:
        OSError: if it cannot be read, is no file or is larger than `MAX_BYTES`.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(path):
        if size_of(path) > MAX_BYTES:
            raise ArchiveError(f"larger than {MAX_BYTES >> 20} MiB")
        return read(Address(path))
    try:
        found = _stat(path)
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for somebody who writes
            raise ArchiveError("not a file")
        if found.st_size > MAX_BYTES:
            raise ArchiveError(f"larger than {MAX_BYTES >> 20} MiB")
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read()
    except NotADirectoryError:
        place = _in_archive(path)
        if place is None:
            raise
        return _opened(place[0]).read(place[1])


def size_of(path: str) -> int:
    """The bytes of a file, or of a member of a zip.

    Raises:
        OSError: if there is no such file.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(path):
        return buckets.stat_of(path)[0]
    try:
        return _stat(path).st_size
    except NotADirectoryError:
        place = _in_archive(path)
        if place is None:
            raise
        return _opened(place[0]).size_of(place[1])


def stat_of(path: str) -> Stat:
    """What tells whether a file has changed; of a member of another file, that of the other file.

    Raises:
        OSError: if there is no such file.
        StorageError: if the object storage that it is in cannot be used.
    """
    if is_address(path):
        return buckets.stat_of(path)
    try:
        found = _stat(path)
    except NotADirectoryError:
        place = _in_archive(path)
        if place is None:
            raise
        found = os.stat(place[0])
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def stats_of(paths: Iterable[str]) -> dict[str, Stat]:
    """What tells whether files have changed, of those that are there; see `stat_of`."""
    paths = list(paths)
    unlisted = [path for path in paths if is_address(path) and not buckets.is_known(path)]
    for _ in in_order(_stat_if_there, unlisted, AT_ONCE, AT_ONCE, "stat"):
        pass  # from now on they are known
    return {path: stat for path in paths if (stat := _stat_if_there(path)) is not None}


def _stat_if_there(path: str) -> Stat | None:
    try:
        return stat_of(path)
    except OSError:
        return None


def opened(path: str | os.PathLike[str]) -> IO[bytes]:
    """A file, or the whole of an object, to be read.

    Raises:
        OSError: if it cannot be read.
        StorageError: if the object storage that it is in cannot be used.
    """
    return io.BytesIO(read_file(os.fspath(path))) if is_address(path) else open(path, "rb")


def readers(path: object) -> int:
    """How many threads read files as this one: as many as there are cores, or more where they wait for a network."""
    return AT_ONCE if is_address(path) else cores()


def _is_object(path: str | os.PathLike[str]) -> bool:
    try:
        return bool(buckets.stat_of(path))
    except FileNotFoundError:
        return False


def _of_bucket(found: Found) -> Entry:
    return Entry(found.address.rpartition("/")[2], found.address, found.is_folder, problem=found.problem)


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except ValueError:  # a null byte, which a table may hold and no name on disk
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def _in_archive(path: str) -> tuple[str, str] | None:
    """The file on the way of a path, and what is behind it; None where there is none."""
    above = Path(path)  # whose own is_file and is_dir raise errors for names that are too long
    for candidate in (above, *above.parents):
        if os.path.isfile(candidate):
            inner = "" if candidate == above else above.relative_to(candidate).as_posix()
            return os.fspath(candidate), inner
        if os.path.isdir(candidate):
            return None
    return None


def is_archive(path: str) -> bool:
    """Whether it is a file that is read as a folder: a zip or a file of arrays."""
    return zipfile.is_zipfile(path) or is_array_file(path)


def _opened(path: str) -> Archive | ArrayFile:
    labels = beside(path)
    return _open(path, stat_of(path), None if labels is None else stat_of(labels))


@lru_cache(maxsize=_OPEN_ARCHIVES)
def _open(path: str, stat: Stat, stat_of_labels: Stat | None) -> Archive | ArrayFile:
    """It is opened again when the file has changed, or that of its labels."""
    return ArrayFile(path) if is_array_file(path) else Archive(path)


def _of_file_system(entry: os.DirEntry[str]) -> Entry:
    link = entry.is_symlink()
    try:
        inside = entry.is_dir()
        leads_nowhere = link and not os.path.exists(entry.path)
        problem = "" if inside or entry.is_file() else "a link that leads nowhere" if leads_nowhere else "not a file"
    except OSError as error:  # links that lead to each other
        inside, problem = False, f"{'a link that ' * link}cannot be followed: {error.strerror}"
    return Entry(entry.name, entry.path, inside, link, problem)
