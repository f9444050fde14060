"""What exports in fewer bits share: which weights are halved, and how features that have shifted are put right.

Rounding weights or activations rounds the features of a network in the same way for all pictures, to a large part: each
is a little too large or too small, and shifted. A solved head notices. So each feature is multiplied and shifted, in
f32 and behind the last rounded layer, such that over the calibration pictures it comes nearest to what it was, by least
squares. The idea of correcting biases after quantisation is that of Nagel et al., Data-Free Quantization (ICCV 2019).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_SHARE_IN_F32 = 0.1
"""Of all the numbers of a network, at most, those that an export in f16 leaves in f32."""

STATISTICS = 300
"""Calibration pictures, at most, that the ranges of activations are taken from; NNCF's own default. Features are put
right by all of them."""

_LARGEST_F16 = 65504
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


def least_halved(sizes: Iterable[int]) -> int:
    """From how many numbers on weights are halved; smaller ones together are a tenth of all numbers, at most.

    Most weights are small: biases, kernels of depthwise convolutions, first layers, the last layer of a kernel head,
    whose terms nearly cancel. They cost as much accuracy as the others, or more, and are no bytes to speak of.

    Args:
        sizes: how many numbers each has.
    """
    rising = np.sort(np.fromiter(sizes, int))
    if not rising.size:
        return 1
    spared = np.searchsorted(np.cumsum(rising), _SHARE_IN_F32 * rising.sum(), side="right")
    return int(rising[spared])


def in_f16(values: np.ndarray) -> np.ndarray:
    """Weights in half precision; what would overflow becomes the largest number that there is."""
    halved: np.ndarray = np.clip(values, -_LARGEST_F16, _LARGEST_F16).astype(np.float16)
    return halved


def spread_rows(rows: np.ndarray, most: int) -> np.ndarray:
    """So many rows of an array at most, evenly over all."""
    kept: np.ndarray = rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
    return kept
