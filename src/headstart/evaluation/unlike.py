"""Pictures that are unlike all that a classifier has learned from: how far their features lie from those."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

REFERENCES = 2000
"""Training pictures that others are compared with, at most."""

FEWEST = 20
"""With fewer validation pictures nothing can be said of what is usual."""

FALSE_ALARMS = 0.02
"""Share of pictures like the validation pictures that are flagged all the same."""

_NEIGHBOURS = 5
_PIECE = 1024  # rows compared at once


@dataclass(frozen=True)
class Familiarity:
    """Knows what training pictures look like to the frozen part, and how far pictures like them usually lie from them.

    The distance of a picture is the mean cosine distance of its features to the nearest training pictures' (Sun, Ming,
    Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, arXiv 2204.06507).

    Attributes:
        references: float16 `(pictures, width)`, features of training pictures as vectors of length 1.
        usual: float32 `(pictures,)`, ascending, the distances of validation pictures.
    """

    references: np.ndarray
    usual: np.ndarray

    def distances(self, features: np.ndarray) -> np.ndarray:
        """How far pictures lie from the training pictures.

        Args:
            features: float `(pictures, width)`, see `pooled`.

        Returns:
            float32 `(pictures,)`, from 0 for the same to 2.
        """
        found = [self._nearest(features[start : start + _PIECE]) for start in range(0, len(features), _PIECE)]
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def shares(self, features: np.ndarray) -> np.ndarray:
        """The share of pictures like the validation pictures that lie at least as far off as each of these.

        Args:
            features: float `(pictures, width)`.

        Returns:
            float64 `(pictures,)`, above 0, at most 1; below `FALSE_ALARMS`, or below what so few validation pictures
            can show, a picture is unlike the training data. These are the p-values of conformal prediction (Bates et
            al., Testing for Outliers with Conformal p-values, Annals of Statistics 2023, arXiv 2104.08279).
        """
        farther = len(self.usual) - np.searchsorted(self.usual, self.distances(features), side="left")
        return (farther + 1) / (len(self.usual) + 1)

    @property
    def least_share(self) -> float:
        """Pictures with a smaller share than this are unlike the training data."""
        return max(FALSE_ALARMS, 1.5 / (len(self.usual) + 1))

    @cached_property
    def _transposed(self) -> np.ndarray:
        return np.ascontiguousarray(self.references.astype(np.float32).T)

    def _nearest(self, features: np.ndarray) -> np.ndarray:
        alike = _of_length_one(features) @ self._transposed
        count = min(_NEIGHBOURS, alike.shape[1])
        nearest = np.partition(alike, alike.shape[1] - count, axis=1)[:, -count:]
        return np.asarray(1 - nearest.mean(axis=1), np.float32)


def learn_familiarity(train: np.ndarray, val: np.ndarray) -> Familiarity | None:
    """What is usual, from features of pictures.

    Args:
        train: float `(pictures, width)`, of training pictures; `REFERENCES` of them are enough.
        val: the same of validation pictures, which nothing was learned from.

    Returns:
        None where there are fewer than `FEWEST` validation pictures.
    """
    if len(val) < FEWEST:
        return None
    found = Familiarity(_of_length_one(train).astype(np.float16), np.zeros(0, np.float32))
    return Familiarity(found.references, np.sort(found.distances(val)))


def pooled(tensors: Sequence[np.ndarray]) -> np.ndarray:
    """One vector for each picture from what the frozen part gives: maps averaged over their places, side by side.

    Args:
        tensors: float `(pictures, rows, columns, width)` or `(pictures, width)` each.
    """
    vectors = [tensor.mean(axis=tuple(range(1, tensor.ndim - 1))) if tensor.ndim > 2 else tensor for tensor in tensors]
    return np.concatenate(vectors, axis=1, dtype=np.float32)


def write_familiarity(path: Path, familiarity: Familiarity) -> None:
    """Write it down."""
    from safetensors.numpy import save

    # `save_file` would make a file that nobody else may read.
    path.write_bytes(save({"references": familiarity.references, "usual": familiarity.usual}))


def read_familiarity(path: Path) -> Familiarity:
    """Read what `write_familiarity` has written."""
    from safetensors.numpy import load_file

    return Familiarity(**load_file(path))


def _of_length_one(features: np.ndarray) -> np.ndarray:
    values = np.asarray(features, np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float32).tiny))
