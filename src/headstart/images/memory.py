"""How much memory pictures may take while they are read, whatever their number and whatever they claim."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, RLock, local

from PIL import Image

MAX_MEMORY = 448 << 20
"""Bytes that files and their pixels may take while they are decoded, on all threads together."""

_SMALL_FILE = 1 << 24

# What was measured while Pillow decoded 12 million pixels, in bytes for each, above what they are in the end.
_PER_PIXEL = {"WEBP": 17.0, "AVIF": 11.0, "HEIF": 9.0}
_JPEG = 7  # three for OpenCV, as many when it is asked again; or as Pillow reads it
_CONVERSION = 11
_PILLOW_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}


class Room:
    """So many bytes for several threads. Who asks for more than is left waits until others are done.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int):
        self._size = self._left = size
        self._changed = Condition()
        self._own = local()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Take some of it for a while, but, with what this thread has already, no more than there is in all."""
        own: int = getattr(self._own, "bytes", 0)
        size = min(size, self._size - own)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        self._own.bytes = own + size
        try:
            yield
        finally:
            self._own.bytes = own
            with self._changed:
                self._left += size
                self._changed.notify_all()


ROOM = Room(MAX_MEMORY)
_one_large_file = RLock()


@contextmanager
def reading(size: int) -> Iterator[None]:
    """Hold a file of so many bytes in memory. Large ones come one after another; small ones do not count."""
    if size <= _SMALL_FILE:
        yield
        return
    # Only who holds this lock asks for room twice, for the file and for its pixels, so nobody waits in a circle.
    with _one_large_file, ROOM.of(size):
        yield


def decoding_cost(header: Image.Image, piece: int = 0, factor: int = 1, is_whole: bool = False) -> int:
    """What the pixels of a picture take while it is decoded, in bytes.

    Args:
        header: the picture, not decoded yet.
        piece: the pixels in the largest strip or tile of a TIFF.
        factor: by how much a JPEG is scaled down on the way.
        is_whole: whether it is converted to RGB as a whole afterwards and not a part at a time.
    """
    pixels = header.width * header.height
    return _decoder_cost(header, piece, factor) + is_whole * _CONVERSION * pixels


def _decoder_cost(header: Image.Image, piece: int, factor: int) -> int:
    pixels = header.width * header.height
    if per_pixel := _PER_PIXEL.get(header.format or ""):
        return int(pixels * per_pixel)
    whole = _PILLOW_BYTES.get(header.mode, 4)
    if header.format == "JPEG2000":
        return pixels * (whole + 6 * len(header.getbands()))
    if header.format in ("JPEG", "MPO"):
        return pixels * _JPEG // factor**2 + _coefficients(header)
    decoded_twice = header.format in ("BMP", "ICO", "PPM")  # by a decoder written in Python, or as mask and picture
    return pixels * (whole + decoded_twice) + piece * (whole + 1)


def _coefficients(header: Image.Image) -> int:
    """A JPEG in several scans is held as coefficients of 16 bits until the last one has come."""
    if not header.info.get("progressive"):
        return 0
    layers: list[tuple[int, int, int, int]] = getattr(header, "layer", [])
    across = max((layer[1] for layer in layers), default=1) or 1
    down = max((layer[2] for layer in layers), default=1) or 1
    samples = sum(layer[1] * layer[2] for layer in layers) / (across * down)
    return int(header.width * header.height * 2 * samples)
