"""A white sheet to put pictures, words and bars on, and the PNG file that becomes of it."""

import io
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from headstart.errors import RecipeError, RunError, storage_errors
from headstart.features.store import write_atomically
from headstart.texts import printable

Colour = tuple[int, int, int]

INK: Colour = (28, 32, 36)
SOFT: Colour = (98, 108, 118)
LINE: Colour = (217, 222, 227)
WARM: Colour = (214, 96, 20)
PAPER: Colour = (255, 255, 255)

_MAKER = "headstart"
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "Arial.ttf")
_HINT = "Free some space there, or give another --out."


class Canvas:
    """A sheet, measured in pixels from its upper left corner.

    Args:
        width: columns.
        height: rows.
    """

    def __init__(self, width: int, height: int):
        self._image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    @property
    def pixels(self) -> np.ndarray:
        """What is on it, uint8 RGB `(height, width, 3)`."""
        return np.array(self._image)

    def picture(self, pixels: np.ndarray, left: int, top: int, side: int, smooth: bool = True) -> None:
        """Put a picture into a square, as large as fits.

        Args:
            pixels: uint8 RGB `(height, width, 3)`.
            left: of the square.
            top: of the square.
            side: of the square.
            smooth: whether it is smooth where it is enlarged; else its pixels become squares.
        """
        height, width = pixels.shape[:2]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        enlarging = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else enlarging)
        self._image.paste(Image.fromarray(resized), (left + (side - size[0]) // 2, top + (side - size[1]) // 2))

    def text(
        self, text: str, left: int, top: int, width: int, size: int = 14, colour: Colour = INK, right: bool = False
    ) -> None:
        """Write a line; what does not fit into the width is left out in its middle.

        Args:
            text: from wherever; what cannot be printed is escaped.
            left: where the line begins.
            top: of the letters.
            width: at most.
            size: of the letters.
            colour: of the letters.
            right: whether it ends at `left + width` rather than beginning at `left`.
        """
        font = _font(size)
        line = _fitting(_written(text), font, width)
        start = left + width - font.getlength(line) if right else left
        self._draw.text((start, top), line, colour, font)

    def box(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """A rectangle filled with a colour; nothing if it has no width."""
        if width > 0:
            self._draw.rectangle((left, top, left + width - 1, top + height - 1), colour)

    def frame(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """The outline of a rectangle."""
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), outline=colour, width=2)


def in_short(path: str) -> str:
    """A picture's name with that of its folder, which often is its class."""
    return "/".join(Path(path).parts[-2:])


def check_png(out: Path) -> Path:
    """Make sure, before anything is computed, that a PNG may be written to a place. One from here is replaced.

    Raises:
        RecipeError: if it is called otherwise.
        RunError: if something is there that was not written here.
    """
    if out.suffix.lower() != ".png":
        raise RecipeError([f"{out} is no name for a PNG; let --out end in .png."])
    if out.is_dir():
        raise RunError(f"{out} is a folder. Give the name of a file in it.")
    if out.exists() and not _is_ours(out):
        raise RunError(f"{out} exists and is not from headstart explain. Give another --out, or remove it first.")
    return out


def write_png(canvas: Canvas, out: Path, about: Mapping[str, str]) -> None:
    """Write a sheet, whole or not at all.

    Args:
        canvas: the sheet.
        out: where to; its folder is made if it is missing.
        about: what is said of it inside the file, by keyword.

    Raises:
        StorageError: if it cannot be written.
    """
    texts = PngInfo()
    for keyword, text in {"Software": _MAKER, **about}.items():
        texts.add_itxt(keyword, printable(text))
    file = io.BytesIO()
    Image.fromarray(canvas.pixels).save(file, "PNG", pnginfo=texts)
    with storage_errors(out, _HINT):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, file.getvalue())


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get("Software") == _MAKER
    except (OSError, ValueError, SyntaxError):
        return False


@cache
def _font_file() -> str | None:
    """A font of the system with more than English letters; None for Pillow's own, which has those alone."""
    for name in _FONTS:
        try:
            ImageFont.truetype(name)
        except OSError:
            continue
        return name
    return None


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    file = _font_file()
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(file, size)


def _written(text: str) -> str:
    line = printable(text)
    if _font_file() is not None:
        return line
    letters = (char for char in unicodedata.normalize("NFKD", line) if not unicodedata.combining(char))
    return "".join(letters).encode("ascii", "replace").decode()


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    kept = len(line) - 1
    while kept > 2 and font.getlength(_shortened(line, kept)) > width:
        kept -= 1
    return _shortened(line, kept)


def _shortened(line: str, kept: int) -> str:
    return f"{line[: kept // 2]}...{line[len(line) - (kept + 1) // 2 :]}"
