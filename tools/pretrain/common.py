"""What the steps share: files that are there whole or not at all, and crops that both networks see alike."""

import os
from pathlib import Path

import cv2
import numpy as np

SMALLEST_CROP = 0.35
"""Of the area of a picture."""

VALIDATION = -1
"""The view of a picture that is all of it."""


def write_array(file: Path, array: np.ndarray) -> None:
    """Write an array under another name first."""
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.save(stream, array)
    os.replace(partial, file)


def boxes(view: int, pictures: int, side: int) -> np.ndarray:
    """The crop of each picture in one view: the same whoever asks.

    Random resized crops: area and logarithm of the aspect ratio are uniform; too long sides are cut to the picture's.

    Returns:
        int64 `(pictures, 4)`: top, left, rows, columns.
    """
    if view == VALIDATION:
        return np.tile(np.array([0, 0, side, side]), (pictures, 1))
    random = np.random.default_rng([17, view])
    area = random.uniform(SMALLEST_CROP, 1.0, pictures)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), pictures))
    rows = np.clip(np.round(side * np.sqrt(area / ratio)), 1, side).astype(int)
    columns = np.clip(np.round(side * np.sqrt(area * ratio)), 1, side).astype(int)
    top = np.floor(random.uniform(0, 1, pictures) * (side - rows + 1)).astype(int)
    left = np.floor(random.uniform(0, 1, pictures) * (side - columns + 1)).astype(int)
    return np.stack([top, left, rows, columns], axis=1)


def crop(picture: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """What is seen of a picture, in `side` rows and columns."""
    top, left, rows, columns = box
    seen = picture[top : top + rows, left : left + columns]
    smaller = rows * columns > side * side
    return cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
