"""One pass over files: whether each is a picture, which, how large, and what it looks like from afar.

What is found follows from a file's bytes alone, so it is kept in the store by their digest, as features are: a second
audit of files that have not changed reads none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import cv2
import imagehash
import numpy as np
import PIL
from PIL import Image

from headstart.features.extract import keep
from headstart.features.store import Space, Store
from headstart.images.decode import DecodeRecipe, UndecodableError, decode, measure
from headstart.progress import bar

THUMBNAIL = 12
"""Rows and columns of the thumbnails by which likeness is confirmed."""

RECORD = np.dtype(
    [
        ("problem", "S120"),
        ("format", "S8"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("hash", "<u8"),
        ("mirrored", "<u8"),
        ("thumbnail", "u1", (THUMBNAIL, THUMBNAIL, 3)),
    ]
)
"""What is kept of a file.

`problem` says, in UTF-8, why it cannot be decoded, and is empty where it can; then `format` is Pillow's name of the
format, `height` and `width` are those of the upright picture in pixels, `hash` and `mirrored` the perceptual hashes of
the picture and its mirror image, for a picture of one colour of that colour, and `thumbnail` is the whole picture, RGB,
squeezed into a square.
"""

_VERSION = 1  # raise it when the meaning of a record changes
_SQUARE = DecodeRecipe(96, 96, "stretch")
_HASHED = 32  # rows and columns that a DCT hash begins from
_FLAT = 3.0  # grey levels of contrast, below which a picture is blank
_BATCH = 1024


@dataclass(frozen=True)
class Looks:
    """What files look like, in the order in which they were given.

    Attributes:
        digests: of their bytes; empty for those that cannot be read.
        records: `RECORD` `(files,)`.
    """

    digests: tuple[str, ...]
    records: np.ndarray

    @property
    def decodable(self) -> np.ndarray:
        """Bool `(files,)`."""
        return np.asarray(self.records["problem"] == b"")

    def problem(self, row: int) -> str:
        """Why a file cannot be decoded; empty where it can."""
        return bytes(self.records["problem"][row]).decode(errors="ignore")


def look(paths: Sequence[str], store: Store, show: bool = False) -> Looks:
    """Look at files, each content once.

    Args:
        paths: the files.
        store: where records are kept.
        show: whether to draw a progress bar.

    Raises:
        StorageError: if the store cannot be written.
    """
    space = _space(store)
    with bar("looking at files", len(paths), "files", show) as advance:
        kept = keep(paths, _record, lambda: _as_they_are, space, store.stat_cache, advance, _BATCH)
    records = np.zeros(len(paths), RECORD)
    rows = [row for row, path in enumerate(paths) if path in kept.digests]
    if rows:
        (found,) = space.read([kept.digests[paths[row]] for row in rows])
        records[rows] = found.view(RECORD)[:, 0]
    reasons = {bad.path: bad.reason for bad in kept.quarantined}
    for row, path in enumerate(paths):
        if path in reasons:
            records["problem"][row] = reasons[path].encode(errors="replace")
    return Looks(tuple(kept.digests.get(path, "") for path in paths), records)


def _space(store: Store) -> Space:
    identity = {
        "look": _VERSION,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "imagehash": version("imagehash"),
    }
    about = {
        "backbone": "what audit has seen",
        "weights": "none",
        "image_size": THUMBNAIL,
        "frontier": [[RECORD.itemsize]],
        "bytes_per_picture": RECORD.itemsize,
        "runtime": "imagehash",
        "precision": "u8",
    }
    return store.space(identity, about)


def _record(data: bytes, digest: str) -> np.ndarray:
    """What there is to know of a file, uint8 `(RECORD.itemsize,)`; never refused, so that it is remembered, too."""
    record = np.zeros(1, RECORD)
    try:
        pixels = decode(data, _SQUARE)
        record["format"], record["height"], record["width"] = measure(data)
    except UndecodableError as error:
        record["problem"] = str(error).encode(errors="replace")
    else:
        # Averaged from more pixels than are needed, so that copies of other sizes come out the same.
        small, thumbnail = _averaged(pixels, _HASHED), _averaged(pixels, THUMBNAIL)
        if thumbnail.std(axis=(0, 1)).max() < _FLAT:
            record["hash"] = record["mirrored"] = _colour_hash(thumbnail)
        else:
            record["hash"], record["mirrored"] = _hash(small), _hash(small[:, ::-1])
        record["thumbnail"] = thumbnail
    return record.view(np.uint8)


def _averaged(pixels: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def _hash(pixels: np.ndarray) -> np.uint64:
    """The 64 bits of a DCT hash."""
    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels))).hash
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def _colour_hash(pixels: np.ndarray) -> np.uint64:
    """64 bits for a picture of one colour, whose DCT would be noise: the more of a channel, the more bits are set.

    Colours that are nearly the same differ in one bit or two.
    """
    filled = (pixels.mean(axis=(0, 1)) * (64 // 3) / 255).round().astype(int)
    return np.uint64(sum(((1 << int(bits)) - 1) << (64 // 3 * channel) for channel, bits in enumerate(filled)))


def _as_they_are(*batch: np.ndarray) -> list[np.ndarray]:
    return list(batch)
