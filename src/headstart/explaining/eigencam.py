"""Eigen-CAM: what most of a layer's activation goes into, whichever class is asked about. No gradients.

Source: Muhammad and Yeasin, Eigen-CAM: class activation map using principal components (IJCNN 2020).
"""

from typing import Any

import numpy as np

from headstart.explaining.inside import Inside, scaled
from headstart.features.runtime import BATCH


class EigenCam:
    """Eigen-CAM at one layer of a network.

    Args:
        inside: the network.
        layer: which gives maps `(batch, rows, columns, channels)`.
    """

    def __init__(self, inside: Inside, layer: Any):
        self._give = inside.giving([layer], BATCH)

    def __call__(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """See `headstart.explaining.explain.Method`; classes play no part."""
        (maps,) = self._give(pixels)
        return principal(maps)


def principal(maps: np.ndarray) -> np.ndarray:
    """How far each place goes along the direction in which most of a picture's activation lies.

    Args:
        maps: float32 `(n, rows, columns, channels)`.

    Returns:
        float32 `(n, rows, columns)`, 0 to 1. A direction has two ends; that which most of the activation is at is up.
    """
    places = maps.reshape(len(maps), -1, maps.shape[3])
    first = np.linalg.svd(places, full_matrices=False)[2][:, :1]
    along = (places @ first.transpose(0, 2, 1))[:, :, 0]
    up = np.where(along.sum(1, keepdims=True) < 0, -1, 1)
    return scaled((up * along).reshape(maps.shape[:3]))
