"""Pictures for a board: the confusion matrix, the worst mistakes, and the sheet of thumbnails of a projector."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headstart.texts import printable

_BACKGROUND, _INK, _FAINT = (255, 255, 255), (32, 33, 36), (112, 117, 122)
_RIGHT, _WRONG = (25, 103, 210), (197, 34, 31)
_MATRIX = 720  # rows and columns of all cells together, about
_MOST_NAMED = 40  # classes whose names there is room for
_MOST_COUNTED = 25  # classes whose numbers there is room for
_LONGEST = 22
_LEGEND = "down: true class, across: predicted"
_LINE = 17
_GAP = 8


def confusion_matrix(confusion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, each row coloured by the shares of its pictures: blue is right, red is wrong.

    Args:
        confusion: integer `(classes, classes)`, numbers of pictures by true and predicted class.
        names: of the classes.

    Returns:
        uint8 RGB `(rows, columns, 3)`.
    """
    count = len(names)
    cell = max(2, min(64, _MATRIX // count))
    named = count <= _MOST_NAMED
    margin = (max(_width(_short(name)) for name in names) + 2 * _GAP) if named else 3 * _GAP
    margin = max(margin, _width(_LEGEND) + _GAP - cell * count)
    top = margin + _LINE + _GAP
    image = Image.new("RGB", (margin + cell * count + _GAP, top + cell * count + _GAP), _BACKGROUND)
    cells = Image.fromarray(_colours(confusion)).resize((cell * count, cell * count), Image.Resampling.NEAREST)
    image.paste(cells, (margin, top))
    pen = ImageDraw.Draw(image)
    pen.text((_GAP, _GAP // 2), _LEGEND, _FAINT, _font(13))
    if named:
        for place, name in enumerate(names):
            middle = cell * place + cell // 2
            pen.text((margin - _GAP, top + middle), _short(name), _INK, _font(13), anchor="rm")
            _write_upwards(image, (margin + middle, top - _GAP), _short(name))
    if count <= _MOST_COUNTED:
        _write_numbers(pen, confusion, cell, (margin, top))
    return np.asarray(image)


def _colours(confusion: np.ndarray) -> np.ndarray:
    """Of every cell, uint8 `(classes, classes, 3)`."""
    share = (confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1))[:, :, np.newaxis]
    right = np.eye(len(confusion), dtype=bool)[:, :, np.newaxis]
    strong = np.where(right, np.array(_RIGHT), np.array(_WRONG))
    faint = np.where(right, 245, 250)
    return np.asarray(faint + (strong - faint) * np.sqrt(share), np.uint8)


def _write_numbers(pen: ImageDraw.ImageDraw, confusion: np.ndarray, cell: int, corner: tuple[int, int]) -> None:
    font = _font(max(9, min(15, cell // 3)))
    for (row, column), number in np.ndenumerate(confusion):
        if number:
            dark = number / max(confusion[row].sum(), 1) > 0.3
            place = (corner[0] + cell * column + cell // 2, corner[1] + cell * row + cell // 2)
            pen.text(place, str(number), _BACKGROUND if dark else _INK, font, anchor="mm")


def _write_upwards(image: Image.Image, foot: tuple[int, int], text: str) -> None:
    written = Image.new("RGB", (_width(text) + 2, _LINE), _BACKGROUND)
    ImageDraw.Draw(written).text((0, _LINE // 2), text, _INK, _font(13), anchor="lm")
    upright = written.rotate(90, expand=True)
    image.paste(upright, (foot[0] - _LINE // 2, foot[1] - upright.height))


def captioned(pictures: Sequence[np.ndarray], captions: Sequence[tuple[str, str]], columns: int) -> np.ndarray:
    """Put pictures in a grid, two lines of text below each.

    Args:
        pictures: uint8 RGB `(side, side, 3)` each; at least one.
        captions: the lines: what it is, and what it was taken for.
        columns: pictures in a row.

    Returns:
        uint8 RGB `(rows, columns, 3)`.
    """
    side = len(pictures[0])
    height = side + 2 * _LINE + _GAP
    rows = math.ceil(len(pictures) / columns)
    image = Image.new("RGB", (columns * (side + _GAP) + _GAP, rows * height + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(image)
    for place, (pixels, (above, below)) in enumerate(zip(pictures, captions, strict=True)):
        left, top = _GAP + (place % columns) * (side + _GAP), _GAP + (place // columns) * height
        image.paste(Image.fromarray(pixels), (left, top))
        pen.text((left, top + side + 2), _fitting(above, side), _INK, _font(13))
        pen.text((left, top + side + 2 + _LINE), _fitting(below, side), _WRONG, _font(13))
    return np.asarray(image)


def sheet(thumbnails: Sequence[np.ndarray]) -> np.ndarray:
    """Thumbnails row by row in a square, as TensorBoard's projector reads them.

    Args:
        thumbnails: uint8 RGB `(side, side, 3)` each; at least one.

    Returns:
        uint8 RGB `(n * side, n * side, 3)`, where n is the square root of their number, rounded up.
    """
    side, count = len(thumbnails[0]), math.ceil(math.sqrt(len(thumbnails)))
    whole = np.full((count * side, count * side, 3), 255, np.uint8)
    for place, pixels in enumerate(thumbnails):
        row, column = divmod(place, count)
        whole[row * side : (row + 1) * side, column * side : (column + 1) * side] = pixels
    return whole


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str) -> int:
    return math.ceil(_font(13).getlength(text))


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _fitting(text: str, width: int) -> str:
    """A text without what would run into the next picture."""
    text = printable(text)
    while _width(text) > width:
        text = f"{text[:-2]}…"
    return text
