"""The features of audited pictures, as a training with that backbone would keep them: what one computes, both use."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.auditing.subject import Subject, without_broken
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.given import shares_of
from headstart.models.assemble import build_network
from headstart.models.backbones import find_backbone
from headstart.progress import waiting
from headstart.recipe import Recipe
from headstart.training.keeping import Keeper
from headstart.training.rows import in_pieces
from headstart.training.session import Session


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
    backbone = find_backbone(recipe.backbone)
    size = recipe.image_size or backbone.size
    keeper = Keeper(recipe, without_broken(subject), DecodeRecipe(size, size, recipe.fit), store, subject.show)
    with waiting(f"preparing {backbone.name}", subject.show):
        network = build_network(backbone, recipe.weights, size)
        classes = max(2, len(subject.listing.classes))
        parts = Session(recipe, keeper, shares_of(recipe), [network], classes, Path(), subject.show).for_head()
    frozen = keeper.freeze(parts)
    paths = [subject.pictures[row].path for row in subject.good]
    kept = keeper.keep(frozen, paths)
    rows = np.array([row for row in subject.good if subject.pictures[row].path in kept.digests], int)
    values = np.zeros((len(rows), network.model.output.shape[-1]), np.float16)
    for piece in in_pieces(np.arange(len(rows))):
        (found,) = kept.read([subject.pictures[row].path for row in rows[piece]])
        values[piece] = np.clip(found, -6e4, 6e4)
    return Vectors(rows, values)
