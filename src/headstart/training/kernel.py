"""Radial basis functions at landmarks: columns for a linear problem that are not linear in the features.

Features are scaled to unit length, so that `exp(-gamma |x - z|^2) = exp(2 gamma x.z - 2 gamma)`: a dense layer with
an exponential. Landmarks are training pictures (Williams and Seeger, Using the Nystroem Method to Speed Up Kernel
Machines, NIPS 2000; Rudi et al., FALKON, NIPS 2017), drawn at random: k-means and drawing by class were not better.
On a network's features this is Top-Tuning (Alfano et al., arXiv 2209.07932).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

_JITTER = 1e-4  # of a diagonal of ones; bounds what landmarks that are nearly the same can do
_SMALLEST_DISTANCE = 1e-3  # squared; below it, 32 bits cannot tell directions apart well enough
_SAMPLE = 500


@dataclass(frozen=True)
class Nystroem:
    """Columns whose inner products approximate the radial basis function.

    Attributes:
        landmarks: float32 `(landmarks, width)`, of unit length.
        gamma: of the radial basis function.
        root: float32 `(landmarks, landmarks)`, lower Cholesky factor of the function between landmarks.
    """

    landmarks: np.ndarray
    gamma: float
    root: np.ndarray

    @classmethod
    def at(cls, landmarks: np.ndarray, gamma: float) -> "Nystroem":
        """Prepare for float32 `(landmarks, width)` of unit length."""
        between = radial(landmarks, landmarks, gamma).astype(np.float64, order="F")
        return cls(landmarks, gamma, _root(between).astype(np.float32))

    def columns(self, units: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, landmarks)` of float32 `(pictures, width)` of unit length."""
        values = radial(self.landmarks, units, self.gamma)
        return np.asarray(solve_triangular(self.root, values, lower=True, overwrite_b=True, check_finite=False).T)

    def onto_landmarks(self, kernel: np.ndarray) -> np.ndarray:
        """The kernel for plain radial basis functions, from the one for `columns`; float32, the same shape."""
        return np.asarray(solve_triangular(self.root, kernel, lower=True, trans="T", check_finite=False))


def _root(between: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor; the more alike the landmarks, the more is added to the diagonal for there to be one.

    Between landmarks that are nearly the same, rounding in 32 bits is larger than what tells them apart.
    """
    jitter = _JITTER
    while True:
        np.fill_diagonal(between, 1 + jitter)
        try:
            return np.asarray(cholesky(between, lower=True, check_finite=False))
        except LinAlgError:
            jitter *= 10
            if jitter > 1:
                raise


def radial(ones: np.ndarray, others: np.ndarray, gamma: float) -> np.ndarray:
    """Float32 `(ones, others)`: `exp(-gamma |x - z|^2)` between rows of unit length."""
    values = np.asarray(ones @ others.T)
    values -= 1
    values *= np.float32(2 * gamma)
    np.exp(values, out=values)
    return values


def unit_length(features: np.ndarray) -> np.ndarray:
    """Rows divided by their norm, as `keras.layers.UnitNormalization` does; float32, the same shape."""
    norms = np.sqrt(np.einsum("ij,ij->i", features, features))
    return np.asarray(features / np.maximum(norms, np.float32(1e-12))[:, None])


def typical_gamma(units: np.ndarray, seed: int) -> float:
    """The inverse of the median squared distance between pictures, from a sample of them."""
    rows = np.random.default_rng(seed).permutation(len(units))[:_SAMPLE]
    sample = units[rows]
    distances = 2 - 2 * (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    median = float(np.median(distances)) if len(distances) else 0.0
    return 1 / max(median, _SMALLEST_DISTANCE)
