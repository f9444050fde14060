"""The pictures for the demo: handwritten digits that come with scikit-learn."""

from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits


def write_digits(folder: Path) -> int:
    """Write the digits as PNG files of 8x8 grey pixels, one folder for each of the ten classes.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.

    Returns:
        The number of pictures.
    """
    digits = load_digits()
    for name in range(10):
        (folder / str(name)).mkdir(parents=True, exist_ok=True)
    for number, (picture, name) in enumerate(zip(digits.images, digits.target, strict=True)):
        grey = np.round(picture * 255 / 16).astype(np.uint8)
        cv2.imwrite(str(folder / str(name) / f"{number:04d}.png"), grey)
    return len(digits.images)
