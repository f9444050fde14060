"""From the bytes of a picture file to RGB pixels of one size.

JPEG, nearly everything there is, goes through OpenCV (the fastest decoder here), everything else through
Pillow, which reads more formats and explains what is wrong with a file. Both leave EXIF rotation to this module,
so that a picture is turned the same way whoever decoded it.

A file is not trusted: `formats` decides what it is, `headers` looks at what it claims before a library does, and
`memory` bounds what it may take.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from headstart.images.digest import picture_digest
from headstart.images.formats import Format, kind_of
from headstart.images.headers import HeaderError, check_headers, check_rows, check_tags, end_of_pixels, piece_of
from headstart.images.memory import MAX_MEMORY, ROOM, decoding_cost
from headstart.images.modes import Part, as_rgb
from headstart.images.quiet import no_warnings
from headstart.images.views import Box, View
from headstart.recipe import Fit

MAX_PIXELS = 178_956_970
"""Pictures with more pixels than this are refused: twice Pillow's own limit for a likely decompression bomb."""

_PIXELS_AT_A_TIME = 1 << 20
_GREY = 128  # what libjpeg fills with where it has nothing
_JUNK = bytes(range(1, 255)) * 8

_ORIENTATION_TAG, _TIFF_ROWS = 0x0112, 0x0101
# EXIF orientations (CIPA DC-008) in which the picture, once its sides are swapped from 5 on, is stored mirrored.
_ROWS_FLIPPED = (3, 4, 7, 8)
_COLUMNS_FLIPPED = (2, 3, 6, 7)
_WHOLE = Box(0.0, 0.0, 1.0, 1.0)
_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
# OpenCV's constants for reduced colour are those for reduced grey with a bit that says BGR.
_REDUCED = {
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | _RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | _RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | _RGB,
}

# Threads decode one picture each; OpenCV's own threads under them would only compete for the same cores.
cv2.setNumThreads(1)


class UndecodableError(ValueError):
    """A file that is not a picture that can be decoded; the message is the reason."""


@dataclass(frozen=True)
class DecodeRecipe:
    """How a picture file becomes an array. Part of the key of everything computed from the array.

    Attributes:
        height: rows of the result, in pixels.
        width: columns of the result, in pixels.
        fit: `crop` keeps the aspect ratio and cuts the centre; `stretch` resizes both sides to the wanted size,
            whatever that does to the aspect ratio, as `keras.utils.image_dataset_from_directory` does by default.
    """

    height: int
    width: int
    fit: Fit = "crop"

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for bundles."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """Everything the pixels depend on, for keys: the recipe, this module's version, the decoders' versions."""
        return {**asdict(self), "version": 2, "opencv": cv2.__version__, "pillow": PIL.__version__}


class Measured(NamedTuple):
    """What the header of a picture file says.

    Attributes:
        format: Pillow's name of the format, as `JPEG`; found from the content alone.
        height: rows of the picture held upright, as EXIF says, in pixels.
        width: columns of it.
    """

    format: str
    height: int
    width: int


def measure(data: bytes) -> Measured:
    """Read the header of a picture file.

    Raises:
        UndecodableError: if it is not a picture, its header is damaged, or it has more than `MAX_PIXELS` pixels.
    """
    form, what = _known(data)
    with _damage_of(what):
        check_headers(data, form)
        header = _open(data, form)
        height, width = header.height, header.width
        if _orientation(header) >= 5:
            height, width = width, height
        return Measured(header.format or form, height, width)


def decode(data: bytes, recipe: DecodeRecipe, view: View | None = None, digest: str | None = None) -> np.ndarray:
    """Decode a picture file to RGB.

    EXIF orientation is applied, of an animation the first frame is taken; `as_rgb` says what becomes of alpha, of more
    than 8 bits and of floating point. A JPEG of which what is seen is at least twice too large is scaled down while it
    is decoded.

    Args:
        data: the bytes of the file; its format is found from them alone.
        recipe: the size wanted.
        view: which random view of the picture; None for that of the centre.
        digest: of the data (see `picture_digest`), if it is known; a random view follows from it.

    Returns:
        uint8 array of shape `(recipe.height, recipe.width, 3)`, RGB, 0-255.

    Raises:
        UndecodableError: if it is not a picture, is damaged or truncated, has more than `MAX_PIXELS` pixels, or takes
            more than `MAX_MEMORY` bytes to decode.
    """
    form, what = _known(data)
    with _damage_of(what):
        check_headers(data, form)
        header = _open(data, form)
        if view is None:
            return _decode(data, header, recipe, lambda: None)
        chance = view.chance(digest or picture_digest(data))
        box = lambda: view.box(_aspect(header, recipe), chance)  # noqa: E731 its draws come before those of `change`
        return view.change(_decode(data, header, recipe, box), chance)


def _known(data: bytes) -> tuple[Format, str]:
    """The format of a file, and its name."""
    if not data:
        raise UndecodableError("the file is empty")
    form, what = kind_of(data)
    if form is None:
        raise UndecodableError("not a picture in a known format" + (f" but {what}" if what else ""))
    return form, what


@contextmanager
def _damage_of(what: str) -> Iterator[None]:
    """Whatever a library says of a file becomes the reason why it is not used."""
    try:
        with no_warnings():  # Pillow's remarks about odd but readable files
            yield
    except UndecodableError:
        raise
    except UnidentifiedImageError:
        raise UndecodableError(f"damaged {what}: its header cannot be read") from None
    except Image.DecompressionBombError:
        raise UndecodableError(f"a {what} with more than the limit of {MAX_PIXELS:,} pixels") from None
    except MemoryError as error:
        raise UndecodableError(f"a {what} for which there is not enough memory") from error
    except Exception as error:  # Pillow's readers raise whatever the damage provokes
        raise UndecodableError(f"damaged {what}: {_reason(error)}") from error


def _open(data: bytes, form: Format) -> Image.Image:
    """Read the header only."""
    file = io.BytesIO(data)
    header = _open_heif(file) if form == "HEIF" else Image.open(file, formats=(form,))
    if header.width * header.height > MAX_PIXELS:
        raise UndecodableError(f"{header.width}x{header.height} pixels are more than the limit of {MAX_PIXELS:,}")
    if not header.width * header.height:
        raise HeaderError(f"it is {header.width}x{header.height} pixels large")
    if form == "TIFF":
        _refuse_missing_strips(header)
    return header


def _refuse_missing_strips(header: Image.Image) -> None:
    """Refuse a TIFF that says more rows than it has strips for: Pillow leaves them black and tells nobody."""
    rows = getattr(header, "tag_v2", {}).get(_TIFF_ROWS, 0)  # the header's own height is that of the upright picture
    bottoms = [tile.extents[3] for tile in getattr(header, "tile", ())]
    if bottoms and max(bottoms) < rows:
        raise HeaderError("it has fewer rows than it says")


def _open_heif(file: io.BytesIO) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise UndecodableError("a HEIF picture; to read these: pip install 'headstart[heif]'") from None
    found: Image.Image = pillow_heif.HeifImageFile(file)
    return found


def _decode(data: bytes, header: Image.Image, recipe: DecodeRecipe, find_box: Callable[[], Box | None]) -> np.ndarray:
    """Decode a part of a picture, or what the recipe sees of it."""
    if header.format in ("JPEG", "MPO") and header.mode in ("RGB", "L"):
        seen = _seen(header, recipe, find_box())
        factor = _factor(header, seen)
        with _room(data, decoding_cost(header, factor=factor)):
            return _take(*_decode_jpeg(data, header, factor), seen)
    piece = piece_of(data, *header.size) if header.format == "TIFF" else 0
    with _room(data, decoding_cost(header, piece, is_whole=_is_whole(header, recipe))):
        header.load()  # before anything else: a PNG may say behind its pixels how it is to be turned
        if header.format == "PNG" and _may_lack_rows(header):
            check_rows(data)
        return _take(as_rgb(header), (header.height, header.width), _seen(header, recipe, find_box()))


def _is_whole(header: Image.Image, recipe: DecodeRecipe) -> bool:
    """Whether a picture may be too narrow for its size to be averaged a part at a time."""
    return recipe.fit == "stretch" and min(header.size) < 2 * max(recipe.height, recipe.width)


def _may_lack_rows(header: Image.Image) -> bool:
    """Whether a PNG may hold fewer rows than it says: what Pillow does not find stays black, and it tells nobody."""
    last = header.crop((0, header.height - 1, header.width, header.height))
    return bool(header.info.get("interlace")) or not np.asarray(last).any()


@contextmanager
def _room(data: bytes, cost: int) -> Iterator[None]:
    if len(data) + cost > MAX_MEMORY:
        raise UndecodableError(
            f"decoding it would take {(len(data) + cost) >> 20:,} MiB of memory, more than the limit of "
            f"{MAX_MEMORY >> 20} MiB"
        )
    with ROOM.of(cost):
        yield


@dataclass(frozen=True)
class _Seen:
    """What is to be seen of a picture.

    Attributes:
        wanted: the rows and columns that it must become, before it is turned.
        box: the part of it, as it is stored; None for what `fit` says.
        fit: see `DecodeRecipe`.
        orientation: how it is turned afterwards.
    """

    wanted: tuple[int, int]
    box: Box | None
    fit: Fit
    orientation: int


def _seen(header: Image.Image, recipe: DecodeRecipe, box: Box | None) -> _Seen:
    orientation = _orientation(header)
    wanted = (recipe.width, recipe.height) if orientation >= 5 else (recipe.height, recipe.width)
    return _Seen(wanted, box and _as_stored(box, orientation), recipe.fit, orientation)


def _aspect(header: Image.Image, recipe: DecodeRecipe) -> float:
    """Columns over rows of the upright picture, divided by those wanted."""
    if recipe.fit == "stretch":
        return 1.0
    stored = header.width / header.height
    return (1 / stored if _orientation(header) >= 5 else stored) * recipe.height / recipe.width


def _orientation(header: Image.Image) -> int:
    try:
        check_tags(_exif(header))
        value = header.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF data does not make the picture unreadable
        return 1
    return value if value in range(1, 9) else 1


def _exif(header: Image.Image) -> bytes:
    """Where Pillow looks for the orientation; in a PNG that may be a text of hexadecimal digits below three lines."""
    text: str = header.info.get("Raw profile type exif", "")
    found: bytes = header.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:]))
    return found.removeprefix(b"Exif\0\0")


def _factor(header: Image.Image, seen: _Seen) -> int:
    """By how much a JPEG can be scaled down while it is decoded."""
    box = seen.box or _WHOLE
    rows, columns = (box.bottom - box.top) * header.height, (box.right - box.left) * header.width
    scale = min(rows / seen.wanted[0], columns / seen.wanted[1])
    return max((step for step in _REDUCED if step <= scale), default=1)


def _decode_jpeg(data: bytes, header: Image.Image, factor: int) -> tuple[Part, tuple[int, int]]:
    """The pixels of a JPEG and how many there are: rows and columns."""
    pixels = _by_opencv(data, factor)
    if pixels is None:  # Pillow reads it after all, or says what is wrong with it
        header.draft(header.mode, (max(1, header.width // factor), max(1, header.height // factor)))
        header.load()
        return as_rgb(header), (header.height, header.width)
    if (pixels[-1, -1] == _GREY).all():
        _refuse_grey_rest(data, factor, pixels)
    return lambda top, left, bottom, right: pixels[top:bottom, left:right], (pixels.shape[0], pixels.shape[1])


def _by_opencv(data: bytes, factor: int) -> np.ndarray | None:
    try:
        # Turning BGR round afterwards would take as long as decoding.
        return cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED.get(factor, _RGB))
    except cv2.error:
        return None


def _refuse_grey_rest(data: bytes, factor: int, pixels: np.ndarray) -> None:
    """Refuse a picture whose data end early: libjpeg fills the rest of it with grey and tells nobody.

    What ends in grey may be grey. But a picture that is complete does not change when there are more data.
    """
    end = end_of_pixels(data)
    again = _by_opencv(data[:end] + _JUNK + data[end:], factor)
    if again is None or not np.array_equal(again, pixels):
        raise HeaderError("the file is truncated: its end mark comes before all pixels have come")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _take(part: Part, size: tuple[int, int], seen: _Seen) -> np.ndarray:
    """What is to be seen of a picture of this size, upright."""
    if seen.box is not None:
        area = _area_in(seen.box, size)
    elif seen.fit == "crop":
        area = _centre_of(size, seen.wanted)
    else:
        area = (0, 0, *size)
    return np.ascontiguousarray(_turn(_resized(part, area, seen.wanted), seen.orientation))


def _resized(part: Part, area: tuple[int, int, int, int], wanted: tuple[int, int]) -> np.ndarray:
    # Averaging whole blocks first keeps fine patterns from turning into noise, and leaves bilinear
    # interpolation less than a factor of two, where it is both good and fast.
    top, left, bottom, right = area
    rows, columns = bottom - top, right - left
    block = min(rows // wanted[0], columns // wanted[1])
    pixels = _averaged(part, top, left, rows // block, columns // block, block) if block >= 2 else part(*area)
    if pixels.shape[:2] != wanted:
        pixels = cv2.resize(np.ascontiguousarray(pixels), wanted[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels


def _averaged(part: Part, top: int, left: int, rows: int, columns: int, block: int) -> np.ndarray:
    """So many rows and columns of blocks, each the average of its pixels; not all at once, which saves memory."""
    step = max(1, _PIXELS_AT_A_TIME // (columns * block * block))
    strips = []
    for start in range(0, rows, step):
        count = min(step, rows - start)
        first = top + start * block
        strip = np.ascontiguousarray(part(first, left, first + count * block, left + columns * block))
        strips.append(cv2.resize(strip, (columns, count), interpolation=cv2.INTER_AREA))
    return np.concatenate(strips)


def _centre_of(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest area in the middle that has the aspect ratio of what is wanted."""
    rows, columns = size
    scale = min(rows / wanted[0], columns / wanted[1])
    keep_rows, keep_columns = max(1, round(wanted[0] * scale)), max(1, round(wanted[1] * scale))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return top, left, min(top + keep_rows, rows), min(left + keep_columns, columns)


def _area_in(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels in the box, at least one of them."""
    rows, columns = size
    top, left = min(round(box.top * rows), rows - 1), min(round(box.left * columns), columns - 1)
    bottom, right = max(top + 1, round(box.bottom * rows)), max(left + 1, round(box.right * columns))
    return top, left, min(bottom, rows), min(right, columns)


def _as_stored(box: Box, orientation: int) -> Box:
    """Where a part of the upright picture lies in the picture as it is stored: `_turn` the other way round."""
    top, left, bottom, right = box
    if orientation in _ROWS_FLIPPED:
        top, bottom = 1 - bottom, 1 - top
    if orientation in _COLUMNS_FLIPPED:
        left, right = 1 - right, 1 - left
    return Box(left, top, right, bottom) if orientation >= 5 else Box(top, left, bottom, right)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's rotation: EXIF orientation 1 to 8 (CIPA DC-008, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in _ROWS_FLIPPED, orientation in _COLUMNS_FLIPPED
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
