"""A zip as a tree of folders that is read in place: nothing of it is ever unpacked to disk."""

import bz2
import copy
import io
import lzma
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from headstart.images.memory import reading

MAX_BYTES = 1 << 28
"""The largest picture file that is read, in bytes (256 MiB), whether packed or not."""

_ENCRYPTED = 0x1
_SIZE_NOT_KNOWN = 0x2  # of an LZMA stream, which then ends with a mark
_LONGEST_NAME = 2048
_DEEPEST_NAME = 64
_LOCAL_HEADER_BYTES = 30
_MAX_DICTIONARY = 1 << 26
_PIECE = 1 << 20
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, KeyError, ValueError, struct.error)
"""What the standard library raises for zips that are damaged, encrypted or packed in ways it does not know."""


class ArchiveError(OSError):
    """An archive, or a member of it, that cannot be read; the message is the reason."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.strerror = reason


class Archive:
    """One zip.

    Members with names that lead out of it, links, encrypted, oversized and overlapping ones are no pictures; `problems`
    says so.

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
        except DAMAGE as error:
            raise ArchiveError(f"not a zip that can be read: {_reason(error)}") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: dict[str, dict[str, None]] = {"": {}}
        self.problems: dict[str, str] = {}
        overlapping = _overlapping(self._zip.infolist())
        for member in self._zip.infolist():
            self._add(member, member.header_offset in overlapping)

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

    def size_of(self, name: str) -> int:
        """The bytes of a member; 0 where there is none that can be read."""
        member = self._members.get(name)
        return 0 if member is None or name in self.problems else member.file_size

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            ArchiveError: if there is none of that name, or it is damaged, encrypted or too large.
        """
        member = self._members.get(name)
        if member is None or name in self.problems:
            raise ArchiveError(self.problems.get(name, "no such member of the archive"))
        try:
            with reading(member.compress_size):  # for a while there are both
                data = _unpacked(member, self._packed(member))
        except (*DAMAGE, OSError) as error:
            raise ArchiveError(f"damaged in the archive: {_reason(error)}") from error
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise ArchiveError("damaged in the archive: its size or checksum is not what the archive says")
        return data

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        """The bytes of a member as they are in the archive.

        The standard library unpacks whatever is packed before it looks at the size that was declared, so it is only
        asked for bytes.
        """
        packed = copy.copy(member)
        packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
        del packed.CRC  # which is that of what comes out
        # A ZipFile counts its open members, and not on several threads at once.
        with self._lock:
            stream = self._zip.open(packed)
        try:
            return stream.read()
        finally:
            with self._lock:
                stream.close()

    def _add(self, member: zipfile.ZipInfo, is_overlapping: bool) -> None:
        raw = member.filename.replace("\\", "/")
        if len(raw) > _LONGEST_NAME or raw.count("/") > _DEEPEST_NAME:
            self._note(raw[:100], f"a name of more than {_LONGEST_NAME:,} characters or {_DEEPEST_NAME} folders")
            return
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
        elif problem := _problem(member, is_overlapping):
            self.problems[name] = problem
        self._folders["/".join(parts[:-1])][parts[-1]] = None
        self._members[name] = member

    def _note(self, name: str, problem: str) -> None:
        """List what has no place in the tree at its top, and not as a hidden file, which would be passed over."""
        shown = name.replace("/", "_")
        shown = f"_{shown}" if not shown or shown.startswith(".") else shown
        self._folders[""][shown] = None
        self.problems[shown] = problem

    def _add_folder(self, parts: tuple[str, ...]) -> None:
        above = ""
        for part in parts:
            self._folders[above][part] = None
            above = f"{above}/{part}" if above else part
            self._folders.setdefault(above, {})


def _problem(member: zipfile.ZipInfo, is_overlapping: bool) -> str:
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.file_size > MAX_BYTES or member.compress_size > MAX_BYTES:
        return f"larger than {MAX_BYTES >> 20} MiB"
    if is_overlapping:
        return "it shares bytes with another member of the archive"
    return ""


def _overlapping(members: Iterable[zipfile.ZipInfo]) -> set[int]:
    """Where members begin that others reach into, or that reach into others: one byte may stand for one member only."""
    found: set[int] = set()
    end, before = 0, -1
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            found |= {before, member.header_offset}
        reach = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
        if reach > end:
            end, before = reach, member.header_offset
    return found


def _unpacked(member: zipfile.ZipInfo, packed: bytes) -> bytes:
    """What a member holds, and no more of it than one byte above the size that was declared.

    Raises:
        NotImplementedError: if it is packed in another way than by deflate, bzip2 or LZMA.
    """
    limit = member.file_size + 1
    match member.compress_type:
        case zipfile.ZIP_STORED:
            return packed
        case zipfile.ZIP_DEFLATED:
            return _out_of(zlib.decompressobj(-zlib.MAX_WBITS), packed, limit)
        case zipfile.ZIP_BZIP2:
            return _out_of(bz2.BZ2Decompressor(), packed, limit)
        case zipfile.ZIP_LZMA:
            # Two bytes of version, two of size, five of properties: as a stream of its own it wants its size instead.
            size = b"\xff" * 8 if member.flag_bits & _SIZE_NOT_KNOWN else member.file_size.to_bytes(8, "little")
            decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=2 * _MAX_DICTIONARY)
            return _out_of(decoder, packed[4:9] + size + packed[9:], limit)
    raise NotImplementedError(f"compression method {member.compress_type} is not known")


def _out_of(decoder: Any, packed: bytes, limit: int) -> bytes:
    """What a decoder of the standard library unpacks, up to a limit; in pieces, since it would hold the whole twice."""
    found = io.BytesIO()
    for start in range(0, len(packed), _PIECE):
        left = packed[start : start + _PIECE]
        while found.tell() < limit and not decoder.eof:
            data = decoder.decompress(left, min(_PIECE, limit - found.tell()))
            found.write(data)
            left = getattr(decoder, "unconsumed_tail", b"")  # the others keep it themselves
            if not data and not left:
                break
    return found.getvalue()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
