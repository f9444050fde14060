"""The features of audited pictures, as a training with that backbone would keep them: what one computes, both use."""

from dataclasses import dataclass

import numpy as np

from headstart.auditing.subject import Subject, without_broken
from headstart.features.store import Store
from headstart.recipe import Recipe
from headstart.training.frozen_backbone import freeze_backbone, read_vectors


@dataclass(frozen=True)
class Vectors:
    """Features of pictures, in 16 bits: half the memory, and more digits than the checks can tell apart.

    Attributes:
        rows: integer `(pictures,)`, which pictures of the subject have features, ascending.
        values: float16 `(pictures, width)`.
    """

    rows: np.ndarray
    values: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The features of some pictures that have them, float16 `(rows, width)`."""
        if np.array_equal(rows, self.rows):  # of all of them: no copy
            return self.values
        return np.asarray(self.values[np.searchsorted(self.rows, rows)])


def compute_vectors(subject: Subject, recipe: Recipe, store: Store) -> Vectors:
    """Compute the features of all pictures that can be decoded, or find them in the store.

    Args:
        subject: the pictures.
        recipe: says which backbone, weights, size and precision.
        store: where features are kept.

    Raises:
        WeightsError: if the weights cannot be had.
        StorageError: if the store cannot be written.
    """
    backbone = freeze_backbone(recipe, without_broken(subject), store, subject.show)
    kept = backbone.keep([subject.pictures[row].path for row in subject.good])
    rows = np.array([row for row in subject.good if subject.pictures[row].path in kept.digests], int)
    return Vectors(rows, read_vectors(kept, [subject.pictures[row].path for row in rows], backbone.width))
