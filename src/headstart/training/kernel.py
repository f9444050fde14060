"""Radial basis functions at landmarks: columns for a linear problem that are not linear in the features.

Features are scaled to unit length, so that `exp(-gamma |x - z|^2) = exp(2 gamma x.z - 2 gamma)`: a dense layer with
an exponential. Landmarks are training pictures (Williams and Seeger, Using the Nystroem Method to Speed Up Kernel
Machines, NIPS 2000; Rudi et al., FALKON, NIPS 2017), drawn at random: k-means and drawing by class were not better.
On a network's features this is Top-Tuning (Alfano et al., arXiv 2209.07932).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from headstart.training.ridge import Solution

_JITTER = 1e-4  # of a diagonal of ones; bounds what landmarks that are nearly the same can do
_SMALLEST_DISTANCE = 1e-3  # squared; below it, 32 bits cannot tell directions apart well enough

_CHOICES = 1000
"""Landmarks of which the next one is chosen. With all of them the order is no better; with 256 worse."""

TYPICAL = 500
"""So many pictures tell well enough how far apart they are."""


@dataclass(frozen=True)
class Radial:
    """Radial basis functions at landmarks.

    Attributes:
        landmarks: float32 `(landmarks, width)`, of unit length.
        gamma: of the functions.
    """

    landmarks: np.ndarray
    gamma: float

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.landmarks)

    def columns(self, features: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, landmarks)` of float32 `(pictures, width)` of any length."""
        return radial(unit_length(features) @ self.landmarks.T, self.gamma)

    def plain(self, solution: Solution) -> Solution:
        """A solution for these columns as one for plain radial basis functions, which they are."""
        return solution


@dataclass(frozen=True)
class Nystroem:
    """Columns whose inner products approximate the radial basis function, about centred.

    Attributes:
        radial: the functions.
        root: float32 `(landmarks, landmarks)`, lower Cholesky factor of the function between landmarks.
        centre: float32 `(landmarks,)`, mean of the columns of the landmarks, which is taken from all columns.
    """

    radial: Radial
    root: np.ndarray
    centre: np.ndarray

    @classmethod
    def at(cls, radial_functions: Radial) -> "Nystroem":
        """Prepare for some landmarks."""
        between = radial_functions.columns(radial_functions.landmarks)
        root = np.asfortranarray(_root(between.astype(np.float64, order="F")), np.float32)
        # At the landmarks, columns are the rows of the root.
        return cls(radial_functions, root, root.mean(axis=0, dtype=np.float64).astype(np.float32))

    def columns(self, features: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, landmarks)` of float32 `(pictures, width)` of any length."""
        return self.whiten(self.radial.columns(features))

    def whiten(self, values: np.ndarray) -> np.ndarray:
        """The columns from the values of the functions; float32, the same shape and memory."""
        columns = solve_triangular(self.root, values.T, lower=True, overwrite_b=True, check_finite=False).T
        columns -= self.centre
        return np.asarray(columns)

    def plain(self, solution: Solution) -> Solution:
        """A solution for these columns as one for plain radial basis functions."""
        kernel = solve_triangular(self.root, solution.kernel, lower=True, trans="T", check_finite=False)
        return Solution(np.asarray(kernel), solution.bias - self.centre @ solution.kernel)


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


def in_balance(functions: Radial, kernel: np.ndarray) -> np.ndarray:
    """An order of the landmarks in which a classifier's sum over them is never far from what it comes to.

    A runtime adds up thousands of terms of either sign in 32 bits, one after the other. In the order in which landmarks
    are drawn, the sum on its way is many times as large as in the end, and so is what is rounded off. So the next term
    is always the one that brings the sum nearest to its share of the whole (herding; Welling, ICML 2009), for a
    picture like the mean of some landmarks.

    Args:
        functions: the functions, whose landmarks are to be ordered.
        kernel: float32 `(landmarks, classes)`, of the classifier.

    Returns:
        Int64 `(landmarks,)`, the numbers of the landmarks.
    """
    count = len(kernel)
    some = functions.landmarks[:: max(1, count // TYPICAL)]
    terms = kernel * functions.columns(some).mean(axis=0)[:, None]
    share, sizes = terms.mean(axis=0), np.einsum("ij,ij->i", terms, terms)
    numbers = np.arange(min(_CHOICES, count))  # of those to choose from; one that is chosen makes room for another
    choices, squares = terms[numbers], sizes[numbers]
    ahead, order = np.zeros_like(share), np.empty(count, np.int64)
    for place in range(count):
        best = int(np.argmin(squares + choices @ (2 * ahead)))
        order[place] = numbers[best]
        ahead += choices[best] - share
        if (following := place + len(numbers)) < count:
            numbers[best], choices[best], squares[best] = following, terms[following], sizes[following]
        else:
            squares[best] = np.inf
    return order


def radial(cosines: np.ndarray, gamma: float) -> np.ndarray:
    """`exp(-gamma |x - z|^2)` from the inner products of vectors of unit length, in their memory; float32."""
    cosines -= 1
    cosines *= np.float32(2 * gamma)
    return np.asarray(np.exp(cosines, out=cosines))


def unit_length(features: np.ndarray) -> np.ndarray:
    """Rows divided by their norm, as `keras.layers.UnitNormalization` does; float32, the same shape."""
    norms = np.sqrt(np.einsum("ij,ij->i", features, features))
    return np.asarray(features / np.maximum(norms, np.float32(1e-12))[:, None])


def typical_gamma(units: np.ndarray) -> float:
    """The inverse of the median squared distance between pictures, from features of unit length of a sample."""
    distances = 2 - 2 * (units @ units.T)[np.triu_indices(len(units), 1)]
    median = float(np.median(distances)) if len(distances) else 0.0
    return 1 / max(median, _SMALLEST_DISTANCE)
