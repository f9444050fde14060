"""What the headers of a file claim, looked at before a library believes it.

Each check is for something that would be decoded, too: slowly, with far more memory than the pixels need, or to
something that only looks like the whole picture.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from headstart.images.formats import Format

MAX_SCANS = 50
"""A JPEG may hold so many passes over its pixels; encoders write about ten."""

MAX_CANVAS = 1 << 28
"""A WebP may have a canvas of so many pixels; no single frame of one can fill more (16,383 a side)."""

_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_STARTS = re.compile(rb"II\*\0|MM\0\*")
_MOST_TIFFS = 64
_SMALL = 1 << 16
_COMPRESSION, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 259, 278, 322, 323
_UNCOMPRESSED = 1

# PNG: samples of a pixel by its kind of colour; of each pass of an interlaced one, its first column and row, and steps.
_PNG_SAMPLES = {2: 3, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_UNPACKED_AT_A_TIME = 1 << 20

# JPEG markers (ITU-T T.81, table B.1): the next one behind pixels or between segments, those without a length, those
# of a frame that comes in one scan, and that of a scan.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_WITHOUT_LENGTH = (0x01, 0xD8, 0xD9)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_SCAN, _END = 0xDA, b"\xff\xd9"


class HeaderError(ValueError):
    """A file that is not to be decoded; the message is the reason."""


def check_headers(data: bytes, form: Format) -> None:
    """Look at what a library would believe.

    Raises:
        HeaderError: if the file is cut off or damaged in a way that would pass for a picture, or is made to take time
            or memory.
    """
    if check := _CHECKS.get(form):
        check(data)


def check_tags(data: bytes) -> None:
    """See that the tags of a TIFF, or of EXIF data, which is one, do not all point to the same bytes.

    Raises:
        HeaderError: if they do.
    """
    claimed = sum(min(size, max(0, len(data) - value)) for _, size, value in _tags(data) if size > 8)
    if claimed > 2 * len(data) + _SMALL:
        raise HeaderError(f"its tags claim {claimed:,} bytes of {len(data):,} there are")


def _check_all_tags(data: bytes) -> None:
    """Check every TIFF within a file: libraries read those that hold EXIF before they are asked to."""
    for number, found in enumerate(_TIFF_STARTS.finditer(data)):
        if number == _MOST_TIFFS:
            raise HeaderError(f"it holds more than {_MOST_TIFFS} blocks of tags")
        check_tags(data[found.start() :])


def piece_of(data: bytes, width: int, height: int) -> int:
    """The pixels in the largest strip or tile of a TIFF of this size, which is unpacked as a whole."""
    said = {tag: value for tag, _, value in _tags(data)}
    if _TILE_WIDTH in said:
        return said[_TILE_WIDTH] * said.get(_TILE_LENGTH, height)
    if said.get(_COMPRESSION) == _UNCOMPRESSED:
        return 0
    return width * min(said.get(_ROWS_PER_STRIP, height), height)


def end_of_pixels(data: bytes) -> int:
    """Where the end mark of a JPEG stands; at the end where there is none."""
    for marker, place in _markers(data):
        if marker == _SCAN:
            found = data.find(_END, place)
            return found if found >= 0 else len(data)
    return len(data)


def _tags(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The first folder of tags of a TIFF: number, bytes of its value, and that value where it fits in."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    big = data[2:4] in (b"+\0", b"\0+")
    number, entry = ("Q", "HHQQ") if big else ("H", "HHLL")
    width = struct.calcsize("<" + entry)
    try:
        start = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)[0]
        count = struct.unpack_from(order + number, data, start)[0]
        first = start + struct.calcsize("<" + number)
        for place in range(first, min(first + count * width, len(data) - width + 1), width):
            tag, kind, items, value = struct.unpack_from(order + entry, data, place)
            size = items * _TIFF_TYPE_BYTES.get(kind, 1)
            if kind == 3 and size <= 2:
                value = struct.unpack_from(order + "H", data, place + width - (8 if big else 4))[0]
            yield tag, size, value
    except struct.error:  # cut off here, which whoever decodes it says better
        return


def _check_jpeg(data: bytes) -> None:
    scans, in_one, components = 0, False, 0
    for marker, place in _markers(data):
        if marker in _FRAMES:
            in_one, components = marker in _SEQUENTIAL, _byte(data, place + 7)
        elif marker == _SCAN:
            if scans == 0:
                _check_all_tags(data[:place])
                if data.rfind(_END, place) < 0:
                    raise HeaderError("the file is truncated: it has no end mark")
            if in_one and _byte(data, place + 2) >= components:
                return
            scans += 1
            if scans > MAX_SCANS:
                raise HeaderError(f"its pixels come in more than {MAX_SCANS} scans")
        elif marker == _END[1]:
            return


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG and where each one ends, found as libjpeg does: whatever is between them is passed over."""
    place = 2
    while found := _MARKER.search(data, place):
        marker, place = found.group(1)[0], found.end()
        yield marker, place
        if marker not in _WITHOUT_LENGTH:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))


def _byte(data: bytes, place: int) -> int:
    return data[place] if place < len(data) else 0


def _check_png(data: bytes) -> None:
    """A PNG ends with IEND, and no chunk that matters has another checksum than it says."""
    for name, start, stop in _chunks(data):
        is_critical = not name[0] & 0x20
        if is_critical and zlib.crc32(memoryview(data)[start - 4 : stop]) != int.from_bytes(
            data[stop : stop + 4], "big"
        ):
            raise HeaderError(f"the checksum of its {_shown(name)} chunk is wrong")
        if name == b"IEND":
            return
    raise HeaderError("the file is truncated: it has no end mark")


def check_rows(data: bytes) -> None:
    """See that the pixels of a PNG are all there, by unpacking them.

    Raises:
        HeaderError: if there are fewer.
    """
    unpacker = zlib.decompressobj()
    missing = _bytes_of_rows(data)
    for name, start, stop in _chunks(data):
        if name != b"IDAT":
            continue
        left = data[start:stop]
        while left and missing > 0 and not unpacker.eof:
            missing -= len(unpacker.decompress(left, _UNPACKED_AT_A_TIME))
            left = unpacker.unconsumed_tail
    if missing > 0:
        raise HeaderError("it has fewer rows than it says")


def _bytes_of_rows(data: bytes) -> int:
    """What the pixels of a PNG take when they are unpacked, each row with its filter (PNG, 3rd edition, 7 and 8)."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _PNG_SAMPLES.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-((left - width) // across), -((top - height) // down)) for left, top, across, down in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The whole chunks of a PNG: name, where the content begins and where it ends."""
    place = 8
    while place + 12 <= len(data):
        start = place + 8
        stop = start + int.from_bytes(data[place : place + 4], "big")
        if stop + 4 > len(data):
            return
        yield data[place + 4 : start], start, stop
        place = stop + 4


def _shown(name: bytes) -> str:
    return name.decode("ascii") if name.isalpha() else name.hex()


def _check_webp(data: bytes) -> None:
    if data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        if width * height > MAX_CANVAS:
            raise HeaderError(f"{width}x{height} pixels are more than a WebP can hold")


_CHECKS: dict[Format, Callable[[bytes], None]] = {
    "AVIF": _check_all_tags,
    "HEIF": _check_all_tags,
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "TIFF": check_tags,
    "WEBP": _check_webp,
}
