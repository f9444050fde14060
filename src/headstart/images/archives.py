"""A zip as a tree of folders that is read in place: nothing of it is ever unpacked to disk."""

import lzma
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

MAX_BYTES = 1 << 28
"""The largest picture file that is read, in bytes (256 MiB), whether packed or not."""

_ENCRYPTED = 0x1
# What the standard library raises for zips that are damaged, encrypted or packed in ways it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, KeyError, ValueError, struct.error)


class ArchiveError(OSError):
    """An archive, or a member of it, that cannot be read; the message is the reason."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.strerror = reason


class Archive:
    """One zip.

    Members with names that lead out of it, links, encrypted and oversized ones are no pictures; `problems` says so.

    Args:
        path: the file.

    Raises:
        ArchiveError: if it is no zip, or a damaged one.
        OSError: if it cannot be read.
    """

    def __init__(self, path: str):
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise ArchiveError(f"not a zip that can be read: {_reason(error)}") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: dict[str, dict[str, None]] = {"": {}}
        self.problems: dict[str, str] = {}
        for member in self._zip.infolist():
            self._add(member)

    def is_folder(self, name: str) -> bool:
        """Whether that is a folder in the archive; the empty name is the archive itself."""
        return name in self._folders

    def is_file(self, name: str) -> bool:
        """Whether that is a member of the archive and no folder."""
        return name in self._members

    def children(self, folder: str) -> Iterator[tuple[str, str, bool]]:
        """What is in a folder: for each its own name, its name in the archive and whether it is a folder."""
        for child in self._folders[folder]:
            name = f"{folder}/{child}" if folder else child
            yield child, name, name in self._folders

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            ArchiveError: if there is none of that name, or it is damaged, encrypted or too large.
        """
        member = self._members.get(name)
        if member is None or name in self.problems:
            raise ArchiveError(self.problems.get(name, "no such member of the archive"))
        try:
            # A ZipFile counts its open members, and not on several threads at once.
            with self._lock:
                stream = self._zip.open(member)
            try:
                # No more than the size that was declared comes out, whatever is packed.
                return stream.read()
            finally:
                with self._lock:
                    stream.close()
        except (*_DAMAGE, OSError) as error:
            raise ArchiveError(f"damaged in the archive: {_reason(error)}") from error

    def _add(self, member: zipfile.ZipInfo) -> None:
        raw = member.filename.replace("\\", "/")
        parts = PurePosixPath(raw).parts
        if not parts or parts[0] == "/" or ".." in parts:
            self._note(raw, "its name leads out of the archive")
            return
        if raw.endswith("/"):
            self._add_folder(parts)
            return
        self._add_folder(parts[:-1])
        name = "/".join(parts)
        if name in self._members:
            self.problems[name] = "another member of the archive has the same name"
        elif problem := _problem(member):
            self.problems[name] = problem
        self._folders["/".join(parts[:-1])][parts[-1]] = None
        self._members[name] = member

    def _note(self, name: str, problem: str) -> None:
        """List what has no place in the tree at its top."""
        shown = name.replace("/", "_") or "_"
        self._folders[""][shown] = None
        self.problems[shown] = problem

    def _add_folder(self, parts: tuple[str, ...]) -> None:
        above = ""
        for part in parts:
            self._folders[above][part] = None
            above = f"{above}/{part}" if above else part
            self._folders.setdefault(above, {})


def _problem(member: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.file_size > MAX_BYTES:
        return f"larger than {MAX_BYTES >> 20} MiB"
    return ""


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
