"""Heat maps as colours, and laid over pictures."""

import cv2
import numpy as np

_COLOURS = cv2.COLORMAP_INFERNO  # its lightness rises evenly, so that who cannot tell red from green reads it, too
_OPACITY = 0.75
_DIMMED = 0.7  # what is left of a picture's light where there is no heat


def spread(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """A heat map as large as a picture, smooth between its places.

    Args:
        heat: `(rows, columns)`, 0 to 1.
        height: rows of the result.
        width: columns of the result.

    Returns:
        float32 `(height, width)`, 0 to 1.
    """
    larger = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(larger, 0, 1))


def coloured(heat: np.ndarray) -> np.ndarray:
    """A heat map in colours from black by purple and orange to yellow, uint8 RGB `(rows, columns, 3)`.

    Args:
        heat: `(rows, columns)`, 0 to 1.
    """
    return np.asarray(cv2.applyColorMap((255 * heat).round().astype(np.uint8), _COLOURS)[:, :, ::-1])


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a heat map over a picture: the picture is grey where there is no heat, and glows where there is.

    Args:
        pixels: uint8 RGB `(height, width, 3)`.
        heat: float32 `(rows, columns)` of any size, 0 to 1.

    Returns:
        uint8 RGB `(height, width, 3)`.
    """
    smooth = spread(heat, *pixels.shape[:2])
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2) * _DIMMED
    opacity = _OPACITY * smooth[:, :, None]
    return np.asarray((grey * (1 - opacity) + coloured(smooth) * opacity).round(), np.uint8)
