"""The sheet on which filters are shown: those of the first layer, and channels of a deeper one by example."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from headstart.errors import DataError
from headstart.explaining.canvas import SOFT, WARM, Canvas
from headstart.explaining.filters import Channel, Place
from headstart.explaining.receptive import Field
from headstart.features.extract import load_pictures
from headstart.images.decode import DecodeRecipe

_SIDE = 104
_GAP = 14
_LINE = 19
_FILTER = 48
_COLUMNS = 2
_LARGEST_CROP = 0.4
"""Of a side of the picture. Fields of deep layers are larger than the picture; what counts is their middle (Luo et al.,
Understanding the effective receptive field in deep convolutional neural networks, NIPS 2016)."""


def in_examples(
    filters: tuple[str, np.ndarray] | None, layer: str, channels: Sequence[Channel], field: Field, decode: DecodeRecipe
) -> Canvas:
    """Draw the sheet.

    Args:
        filters: name of the first layer, and its filters, float32 `(n, rows, columns, 3)`; None for none.
        layer: the name of the deeper one.
        channels: of it.
        field: the receptive field of it.
        decode: how pictures are decoded.

    Raises:
        DataError: if a picture has become unreadable since it was looked at.
    """
    examples = max(len(channel.places) for channel in channels)
    column = max(examples * (_SIDE + 6) + 2 * _GAP, 380)
    width = min(len(channels), _COLUMNS) * column + _GAP
    per_row = (width - 2 * _GAP) // (_FILTER + 4)
    filter_rows = 0 if filters is None else -(-len(filters[1]) // per_row)
    above = filter_rows * (_FILTER + 4) + (_LINE + _GAP if filters else 0)
    each = _LINE + 2 * _SIDE + 4 + _GAP
    canvas = Canvas(width, _GAP + above + _LINE + 8 + -(-len(channels) // _COLUMNS) * each)
    top = _GAP
    if filters is not None:
        canvas.text(f"{filters[0]}: its {len(filters[1])} filters; grey is nothing", _GAP, top, width - 2 * _GAP, 14)
        _filters(canvas, filters[1], per_row, top + _LINE)
        top += above
    seen = f"a place sees {field.size} px" if field.size < decode.height else "a place sees all of the picture"
    canvas.text(f"{layer}: where channels are most active; {seen}", _GAP, top, width - 2 * _GAP, 14)
    top += _LINE + 8
    for number, channel in enumerate(channels):
        row, place = divmod(number, _COLUMNS)
        _channel(canvas, channel, field, decode, _GAP + place * column, top + row * each)
    return canvas


def _filters(canvas: Canvas, filters: np.ndarray, per_row: int, top: int) -> None:
    for number, weights in enumerate(filters):
        most = max(float(np.abs(weights).max()), 1e-12)
        colours = ((weights / most + 1) * 127.5).round().astype(np.uint8)
        left, below = number % per_row * (_FILTER + 4), number // per_row * (_FILTER + 4)
        canvas.picture(colours, _GAP + left, top + below, _FILTER, smooth=False)


def _channel(canvas: Canvas, channel: Channel, field: Field, decode: DecodeRecipe, left: int, top: int) -> None:
    words = f"channel {channel.number}, most for {channel.label} (answers explain {channel.explained:.0%} of it)"
    canvas.text(words, left, top, 370, 13, SOFT)
    pictures = load_pictures([place.path for place in channel.places], decode)
    for number, (place, (_, pixels)) in enumerate(zip(channel.places, pictures, strict=True)):
        here = left + number * (_SIDE + 6)
        if not isinstance(pixels, np.ndarray):
            raise DataError(f"{place.path} could be decoded a moment ago and cannot be any more: {pixels.reason}")
        canvas.picture(pixels, here, top + _LINE, _SIDE)
        rows, columns = crop(place, field.size, decode)
        scale = _SIDE / max(decode.height, decode.width)
        at = partial(_scaled, scale)
        canvas.frame(
            here + at(columns.start), top + _LINE + at(rows.start), at(_length(columns)), at(_length(rows)), WARM
        )
        canvas.picture(pixels[rows, columns], here, top + _LINE + _SIDE + 4, _SIDE)


def crop(place: Place, size: int, decode: DecodeRecipe) -> tuple[slice, slice]:
    """The rows and columns around a place that it is computed from, or the middle of them, inside the picture.

    Args:
        place: where.
        size: of the receptive field, in pixels.
        decode: how large pictures are.
    """
    side = max(3, min(size, round(_LARGEST_CROP * min(decode.height, decode.width))))
    return _around(place.row, side, decode.height), _around(place.column, side, decode.width)


def _around(share: float, side: int, whole: int) -> slice:
    start = min(max(0, round(share * whole - side / 2)), whole - side)
    return slice(start, start + side)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _scaled(scale: float, length: int) -> int:
    return max(2, round(scale * length))
