"""One backbone taken as it is: the features that a solved head is trained on, for whoever wants these alone.

They lie in the space of the store that `headstart train --strategy head` uses, so what one computes, both have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.features.engine import LOCAL, Engine
from headstart.features.extract import Extraction
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.given import shares_of
from headstart.images.pictures import Listing
from headstart.models.assemble import Network, build_network
from headstart.models.backbones import find_backbone
from headstart.progress import waiting
from headstart.recipe import Recipe
from headstart.training.keeping import Frozen, Keeper
from headstart.training.rows import in_pieces
from headstart.training.session import Session

_LARGEST = 6e4  # a float16 holds no more than 65504


@dataclass(frozen=True)
class FrozenBackbone:
    """A backbone that is ready to run over pictures.

    Attributes:
        network: the backbone with its weights.
        keeper: runs it and keeps what comes out.
        frozen: what is run: preprocessing, backbone and pooling.
    """

    network: Network
    keeper: Keeper
    frozen: Frozen

    @property
    def width(self) -> int:
        """How many values there are for each picture."""
        return int(self.network.model.output.shape[-1])

    def keep(self, paths: Sequence[str]) -> Extraction:
        """Make sure that the store has the features of pictures.

        Raises:
            DataError: if files cannot be decoded and the recipe is strict.
            StorageError: if the store cannot be written.
        """
        return self.keeper.keep(self.frozen, paths)


def freeze_backbone(
    recipe: Recipe, listing: Listing, store: Store, show: bool, engine: Engine = LOCAL
) -> FrozenBackbone:
    """Build a backbone and choose what runs it.

    Args:
        recipe: says which backbone, weights, size and precision.
        listing: the pictures.
        store: where features are kept.
        show: whether to draw progress bars.
        engine: who runs it over the pictures.

    Raises:
        WeightsError: if the weights cannot be had, or layers would be frozen at random.
        RecipeError: if there is no such backbone, or it cannot be built at that size.
        DataError: if no picture can be decoded.
    """
    backbone = find_backbone(recipe.backbone)
    size = recipe.image_size or backbone.size
    keeper = Keeper(recipe, listing, DecodeRecipe(size, size, recipe.fit), store, show, engine)
    with waiting(f"preparing {backbone.name}", show):
        network = build_network(backbone, recipe.weights, size)
        classes = max(2, len(listing.classes))
        parts = Session(recipe, keeper, shares_of(recipe), [network], classes, Path(), show).for_head()
    return FrozenBackbone(network, keeper, keeper.freeze(parts))


def read_vectors(kept: Extraction, paths: Sequence[str], width: int) -> np.ndarray:
    """The features of pictures in 16 bits: half the memory, and more digits than can be told apart by them.

    Args:
        kept: knows where they are.
        paths: the pictures.
        width: how many values there are for each picture.

    Returns:
        Float16 `(pictures, width)`.
    """
    values = np.zeros((len(paths), width), np.float16)
    for piece in in_pieces(np.arange(len(paths))):
        (found,) = kept.read([paths[int(row)] for row in piece])
        values[piece] = np.clip(found, -_LARGEST, _LARGEST)
    return values
