"""RandAugment, and the changes of frame and colour it is made of, on uint8 RGB pixels."""

import math
from collections.abc import Callable
from random import Random

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

MAGNITUDE = 0.9
"""How far the operations of RandAugment go: 9 on the paper's scale of 10."""

_LUMA = np.array([0.299, 0.587, 0.114])  # what is grey of red, green and blue (ITU-R BT.601, as in Pillow)


def warp(
    pixels: np.ndarray,
    rotation: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Turn, slant and move a picture about its centre; what comes in at the border is its mirror image.

    Args:
        pixels: uint8 `(height, width, 3)`.
        rotation: in degrees, counter-clockwise.
        shear: columns per row, rows per column.
        shift: to the right and down, as shares of width and height.
    """
    height, width = pixels.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    angle = math.radians(rotation)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = turn @ np.array([[1, shear[0]], [shear[1], 1]])
    offset = centre - linear @ centre + np.array(shift) * (width, height)
    matrix = np.column_stack([linear, offset])
    return cv2.warpAffine(
        np.ascontiguousarray(pixels), matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def adjust_colour(
    pixels: np.ndarray, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0
) -> np.ndarray:
    """Scale brightness, contrast and saturation, in that order, as Pillow's `ImageEnhance` does, and round once.

    Args:
        pixels: uint8 `(height, width, 3)`, RGB.
        brightness: 0 is black, 1 leaves it.
        contrast: 0 is the mean grey, 1 leaves it.
        saturation: 0 is grey, 1 leaves it.
    """
    pixels = np.ascontiguousarray(pixels)
    mean = brightness * float(np.dot(_LUMA, cv2.mean(pixels)[:3]))
    colours = saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1))
    matrix = np.column_stack([brightness * contrast * colours, np.full(3, (1 - contrast) * mean)])
    return cv2.transform(pixels, matrix)


def rand_augment(pixels: np.ndarray, operations: int, chance: Random) -> np.ndarray:
    """Apply randomly chosen operations at one magnitude (Cubuk et al., arXiv 1909.13719).

    The list and the ranges are those of the paper, which are AutoAugment's (arXiv 1805.09501, table 6), but what makes
    a picture stronger also makes it weaker, by the inverse factor, and the border is mirrored rather than grey.

    Args:
        pixels: uint8 `(height, width, 3)`, RGB.
        operations: how many, one after the other; the same one may come twice.
        chance: what decides.
    """
    for _ in range(operations):
        operation = _OPERATIONS[int(chance.random() * len(_OPERATIONS))]
        sign = 1 if chance.random() < 0.5 else -1
        pixels = operation(pixels, sign * MAGNITUDE)
    return pixels


def _by_pillow(change: Callable[[Image.Image], Image.Image]) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda pixels, _: np.asarray(change(Image.fromarray(np.ascontiguousarray(pixels))))


def _factor(level: float) -> float:
    factor = 0.1 + 1.8 * abs(level)
    return factor if level > 0 else 1 / factor


def _sharpen(pixels: np.ndarray, level: float) -> np.ndarray:
    return _by_pillow(lambda image: ImageEnhance.Sharpness(image).enhance(_factor(level)))(pixels, level)


# Each takes pixels and the magnitude, with a sign.
_OPERATIONS: tuple[Callable[[np.ndarray, float], np.ndarray], ...] = (
    lambda pixels, level: pixels,
    _by_pillow(ImageOps.autocontrast),
    _by_pillow(ImageOps.equalize),
    _by_pillow(lambda image: ImageOps.solarize(image, round(256 * MAGNITUDE))),
    _by_pillow(lambda image: ImageOps.posterize(image, 8 - round(4 * MAGNITUDE))),
    _sharpen,
    lambda pixels, level: adjust_colour(pixels, saturation=_factor(level)),
    lambda pixels, level: adjust_colour(pixels, contrast=_factor(level)),
    lambda pixels, level: adjust_colour(pixels, brightness=_factor(level)),
    lambda pixels, level: warp(pixels, rotation=30 * level),
    lambda pixels, level: warp(pixels, shear=(0.3 * level, 0)),
    lambda pixels, level: warp(pixels, shear=(0, 0.3 * level)),
    lambda pixels, level: warp(pixels, shift=(0.45 * level, 0)),
    lambda pixels, level: warp(pixels, shift=(0, 0.45 * level)),
)
