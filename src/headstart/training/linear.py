"""Columns of a linear head: features, each with a mean of 0 and a variance of 1."""

from dataclasses import dataclass

import numpy as np

from headstart.training.ridge import Solution
from headstart.training.rows import Features, in_pieces


@dataclass(frozen=True)
class Standardised:
    """Features, standardised.

    Attributes:
        mean: float32 `(width,)`.
        deviation: float32 `(width,)`; infinite where a feature says nothing.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def on(cls, features: Features) -> "Standardised":
        """Measure some features, piece by piece."""
        pieces, count = in_pieces(np.arange(len(features))), len(features)
        mean = sum(features.read(rows).sum(axis=0, dtype=np.float64) for rows in pieces) / count
        deviation = np.sqrt(sum(_squares(features.read(rows) - mean) for rows in pieces) / count)
        # What varies by less than a thousandth of what the others do is rounding; blown up, it would drown the rest.
        deviation[deviation <= 1e-3 * deviation.max()] = np.inf
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.mean)

    def columns(self, features: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, width)` of float32 of the same shape."""
        columns = np.subtract(features, self.mean)
        return np.asarray(np.divide(columns, self.deviation, out=columns))

    def plain(self, solution: Solution) -> Solution:
        """A solution for these columns as one for features as they are."""
        kernel = solution.kernel / self.deviation[:, None]
        return Solution(kernel, solution.bias - self.mean @ kernel)


def _squares(differences: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->j", differences, differences))
