"""What quantisation has shifted in the features, put right by what calibration pictures show.

Integers round the features of a network in the same way for all pictures, to a large part: each is a little too large
or too small, and shifted. A solved head notices. So each feature is multiplied and shifted, in f32 and behind the last
integer layer, such that over the calibration pictures it comes nearest to what it was, by least squares. The idea of
correcting biases after quantisation is that of Nagel et al., Data-Free Quantization (ICCV 2019), section 4.2.
"""

from typing import NamedTuple

import numpy as np

_LEAST_SPREAD = 1e-6


class Correction(NamedTuple):
    """How features are put right: `features * scale + shift`.

    Attributes:
        scale: float32 `(width,)`.
        shift: float32 `(width,)`.
    """

    scale: np.ndarray
    shift: np.ndarray


def match(found: np.ndarray, wanted: np.ndarray) -> Correction:
    """The correction that takes features nearest to what they should be.

    Args:
        found: features of some pictures, `(pictures, width)`.
        wanted: what they should be, in the same order.
    """
    found, wanted = found.astype(float), wanted.astype(float)
    centre, aim = found.mean(0), wanted.mean(0)
    spread = found.var(0)
    alive = spread > _LEAST_SPREAD * max(
        float(spread.max()), 1e-30
    )  # of others nothing can be learned but where they lie
    slope = ((found - centre) * (wanted - aim)).mean(0) / np.where(alive, spread, 1)
    scale = np.where(alive, slope, 1)
    return Correction(scale.astype(np.float32), (aim - scale * centre).astype(np.float32))
