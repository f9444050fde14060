"""What the numbers in a decoded picture mean as RGB, whatever its mode.

A part of the picture is converted at a time, so that a large one is not in memory twice.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

Part = Callable[[int, int, int, int], np.ndarray]
"""The rows and columns of a picture from top and left to bottom and right, uint8 RGB."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
_UNSIGNED, _WHITE_IS_ZERO = 1, 0
_USUAL_TOPS = (1.0, 255.0, 65535.0)
_ROWS_AT_A_TIME = 1 << 20  # pixels of them


def as_rgb(image: Image.Image) -> Part:
    """How to get RGB out of a picture that Pillow has decoded.

    Alpha is dropped. Of 16 bits the high byte is taken. What has 32 bits or is of floating point says nothing of its
    range: if it holds nothing below zero, that is the first of 0-1, 0-255 and 0-65535 which has room for all of it, and
    else from the least to the greatest number in it. What is no number is black.
    """
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        return _from_numbers(image)
    return lambda top, left, bottom, right: np.asarray(image.crop((left, top, right, bottom)).convert("RGB"))


def _from_16_bits(image: Image.Image) -> Part:
    tags = getattr(image, "tag_v2", {})
    shift = 4 if tags.get(_BITS_PER_SAMPLE) == (12,) else 8
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO

    def part(top: int, left: int, bottom: int, right: int) -> np.ndarray:
        grey = (np.asarray(image.crop((left, top, right, bottom))) >> shift).astype(np.uint8)
        return _grey(255 - grey if inverted else grey)

    return part


def _from_numbers(image: Image.Image) -> Part:
    low, high = (0.0, 65535.0) if image.format == "PPM" and image.mode == "I" else _range_of(image)

    def part(top: int, left: int, bottom: int, right: int) -> np.ndarray:
        scaled = (_numbers(image, top, left, bottom, right) - low) * (255 / ((high - low) or 1))
        return _grey(np.rint(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255)).astype(np.uint8))

    return part


def _range_of(image: Image.Image) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    step = max(1, _ROWS_AT_A_TIME // image.width)
    for top in range(0, image.height, step):
        numbers = _numbers(image, top, 0, min(top + step, image.height), image.width)
        finite = numbers[np.isfinite(numbers)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        return 0.0, 1.0
    return next(((0.0, top) for top in _USUAL_TOPS if low >= 0 and high <= top), (low, high))


def _numbers(image: Image.Image, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    numbers = np.asarray(image.crop((left, top, right, bottom)))
    tags = getattr(image, "tag_v2", {})
    if image.mode == "I" and tags.get(_BITS_PER_SAMPLE) == (32,) and tags.get(_SAMPLE_FORMAT, (1,))[0] == _UNSIGNED:
        numbers = numbers.view(np.uint32)  # Pillow has no mode for these
    return numbers.astype(np.float64)


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)
