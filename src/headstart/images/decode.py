"""From the bytes of a picture file to RGB pixels of one size.

JPEG, nearly everything there is, goes through OpenCV (the fastest decoder here), everything else through
Pillow, which reads more formats and explains what is wrong with a file. Both leave EXIF rotation to this module,
so that a picture is turned the same way whoever decoded it.
"""

import io
import warnings
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from headstart.images.digest import picture_digest
from headstart.images.views import Box, View
from headstart.recipe import Fit

MAX_PIXELS = 178_956_970
"""Pictures with more pixels than this are refused: twice Pillow's own limit for a likely decompression bomb."""

_ORIENTATION_TAG = 0x0112
# EXIF orientations (CIPA DC-008) in which the picture, once its sides are swapped from 5 on, is stored mirrored.
_ROWS_FLIPPED = (3, 4, 7, 8)
_COLUMNS_FLIPPED = (2, 3, 6, 7)
_WHOLE = Box(0.0, 0.0, 1.0, 1.0)
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
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
        return {**asdict(self), "version": 1, "opencv": cv2.__version__, "pillow": PIL.__version__}


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
    header = _open(data)
    height, width = header.height, header.width
    if _orientation(header) >= 5:
        height, width = width, height
    return Measured(header.format or "", height, width)


def decode(data: bytes, recipe: DecodeRecipe, view: View | None = None, digest: str | None = None) -> np.ndarray:
    """Decode a picture file to RGB.

    EXIF orientation is applied, alpha is dropped, 16-bit channels keep their high byte, of an animation the first
    frame is taken. A JPEG of which what is seen is at least twice too large is scaled down while it is decoded.

    Args:
        data: the bytes of the file; its format is found from them alone.
        recipe: the size wanted.
        view: which random view of the picture; None for that of the centre.
        digest: of the data (see `picture_digest`), if it is known; a random view follows from it.

    Returns:
        uint8 array of shape `(recipe.height, recipe.width, 3)`, RGB, 0-255.

    Raises:
        UndecodableError: if it is not a picture, is damaged or truncated, or has more than `MAX_PIXELS` pixels.
    """
    header = _open(data)
    if view is None:
        return _decode(data, header, recipe)
    chance = view.chance(digest or picture_digest(data))
    box = view.box(_aspect(header, recipe), chance)
    return view.change(_decode(data, header, recipe, box), chance)


def _decode(data: bytes, header: Image.Image, recipe: DecodeRecipe, box: Box | None = None) -> np.ndarray:
    """Decode a part of a picture, or what the recipe sees of it."""
    orientation = _orientation(header)
    turned = orientation >= 5
    # What the stored rows and columns must become, before the picture is turned.
    wanted = (recipe.width, recipe.height) if turned else (recipe.height, recipe.width)
    box = box and _as_stored(box, orientation)
    if header.format in ("JPEG", "MPO") and header.mode in ("RGB", "L"):
        pixels = _decode_jpeg(data, header, wanted, box or _WHOLE)
    else:
        pixels = _decode_with_pillow(header)
    if box is not None:
        pixels = _cut_out(pixels, box)
    elif recipe.fit == "crop":
        pixels = _crop_to_aspect(pixels, wanted)
    return np.ascontiguousarray(_turn(_resize(pixels, wanted), orientation))


def _aspect(header: Image.Image, recipe: DecodeRecipe) -> float:
    """Columns over rows of the upright picture, divided by those wanted."""
    if recipe.fit == "stretch":
        return 1.0
    stored = header.width / header.height
    return (1 / stored if _orientation(header) >= 5 else stored) * recipe.height / recipe.width


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    if not data:
        raise UndecodableError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks about odd but readable files
            header = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise UndecodableError("not a picture in a known format") from None
    except Exception as error:  # Pillow's readers raise whatever the damage provokes
        raise UndecodableError(_reason(error)) from error
    if header.width * header.height > MAX_PIXELS:
        raise UndecodableError(f"{header.width}x{header.height} pixels are more than the limit of {MAX_PIXELS:,}")
    return header


def _orientation(header: Image.Image) -> int:
    try:
        value = header.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF data does not make the picture unreadable
        return 1
    return value if value in range(1, 9) else 1


def _decode_jpeg(data: bytes, header: Image.Image, wanted: tuple[int, int], box: Box) -> np.ndarray:
    rows, columns = (box.bottom - box.top) * header.height, (box.right - box.left) * header.width
    scale = min(rows / wanted[0], columns / wanted[1])
    factor = max((step for step in _REDUCED if step <= scale), default=1)
    flags = _REDUCED.get(factor, cv2.IMREAD_COLOR_BGR) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        return _decode_with_pillow(header)  # which reads it after all, or says what is wrong with it
    return pixels[:, :, ::-1]


def _decode_with_pillow(header: Image.Image) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.load()
            if header.mode.startswith("I;16"):
                grey = (np.asarray(header) >> 8).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(header.convert("RGB"))
    except Exception as error:  # Pillow's readers raise whatever the damage provokes
        raise UndecodableError(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _resize(pixels: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    # Averaging whole blocks first keeps fine patterns from turning into noise, and leaves bilinear
    # interpolation less than a factor of two, where it is both good and fast.
    block = min(pixels.shape[0] // wanted[0], pixels.shape[1] // wanted[1])
    if block >= 2:
        size = (pixels.shape[1] // block, pixels.shape[0] // block)
        trimmed = pixels[: size[1] * block, : size[0] * block]
        pixels = cv2.resize(np.ascontiguousarray(trimmed), size, interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != wanted:
        pixels = cv2.resize(np.ascontiguousarray(pixels), wanted[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels


def _crop_to_aspect(pixels: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    scale = min(rows / wanted[0], columns / wanted[1])
    keep_rows, keep_columns = max(1, round(wanted[0] * scale)), max(1, round(wanted[1] * scale))
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return pixels[top : top + keep_rows, left : left + keep_columns]


def _cut_out(pixels: np.ndarray, box: Box) -> np.ndarray:
    """The part of the picture in the box, at least one pixel of it."""
    rows, columns = pixels.shape[:2]
    top, left = min(round(box.top * rows), rows - 1), min(round(box.left * columns), columns - 1)
    return pixels[top : max(top + 1, round(box.bottom * rows)), left : max(left + 1, round(box.right * columns))]


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
