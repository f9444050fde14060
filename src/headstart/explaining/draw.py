"""Heat maps laid over pictures."""

import cv2
import numpy as np

_COLOURS = cv2.COLORMAP_INFERNO  # its lightness rises evenly, so that it is read without telling red from green, too
_OPACITY = 0.75
_DIMMED = 0.7  # what is left of a picture's light where there is no heat


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a heat map over a picture: the picture is grey and dim where there is no heat, and glows where there is.

    Args:
        pixels: uint8 RGB `(height, width, 3)`.
        heat: float32 `(rows, columns)` of any size, 0 to 1; it is spread over the picture smoothly.

    Returns:
        uint8 RGB `(height, width, 3)`.
    """
    height, width = pixels.shape[:2]
    smooth = np.clip(cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((255 * smooth).round().astype(np.uint8), _COLOURS)[:, :, ::-1]
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2) * _DIMMED
    opacity = _OPACITY * smooth[:, :, None]
    return np.asarray((grey * (1 - opacity) + colours * opacity).round(), np.uint8)
