"""Standardising pixels by what the training pictures are like.

Networks are trained on pictures with a certain mean and spread of each channel. Others, from a microscope, say, have
others. Here each channel is shifted and stretched so that the training pictures have ImageNet's mean and spread, and
the network's own preprocessing follows as always. For networks that divide by ImageNet's spread in their preprocessing
this is what is called featurewise standardisation: mean 0, standard deviation 1.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of the RGB channels, from 0 to 255. Source: the `torch` mode of `keras.applications.imagenet_utils`."""

IMAGENET_STD = (58.395, 57.12, 57.375)
"""Standard deviations of the RGB channels, from the same source."""

_SMALLEST_STD = 1.0  # of pictures that are all of one colour; a pixel has no finer steps


@dataclass(frozen=True)
class Standardisation:
    """What the training pictures are like.

    Attributes:
        mean: of the RGB channels over all pixels, 0 to 255.
        std: standard deviations of the RGB channels over all pixels, 0 to 127.5.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def apply(self, pixels: Any) -> Any:
        """Standardise RGB pixels 0-255 in a graph, by one layer that any Keras can load.

        Args:
            pixels: KerasTensor `(batch, height, width, 3)`.
        """
        scale = np.array(IMAGENET_STD) / np.maximum(self.std, _SMALLEST_STD)
        shift = np.array(self.mean) - np.array(IMAGENET_MEAN) / scale
        layer = keras.layers.Normalization(mean=shift.tolist(), variance=(1 / scale**2).tolist(), name="standardise")
        return layer(pixels)
