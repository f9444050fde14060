"""How a training begins: pictures are found before Keras is imported, and worked on while it is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.bundle import Run
from headstart.features.ahead import Ahead, Known, key_of
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe
from headstart.images.given import listed
from headstart.images.pictures import Listing
from headstart.loading import load_keras
from headstart.models.sizes import native_size
from headstart.recipe import Recipe

_SWITCH_SECONDS = 0.0005


def start(recipe: Recipe, show: bool, trains: bool = True) -> Run:
    """Train as `headstart.pipeline.train` does, and import Keras for it.

    Args:
        recipe: every choice.
        show: whether to draw progress bars on a terminal.
        trains: whether this process may train by gradients, now or later, see `load_keras`.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if Keras is not installed.
    """
    if "keras" in sys.modules or recipe.extend_imagenet:  # the names of whose classes only Keras knows
        load_keras("training", trains)
        from headstart.pipeline import train

        return train(recipe, show)
    listing = listed(recipe)
    ahead = begin_ahead(recipe, listing)
    try:
        with _sharing_python():
            load_keras("training", trains)
            from headstart.pipeline import train
        return train(recipe, show, listing, ahead)
    finally:
        if ahead is not None:
            ahead.stop()


def begin_ahead(recipe: Recipe, listing: Listing) -> Ahead | None:
    """Begin to work on the pictures of a recipe; None where it is not known how."""
    store, key = Store(), key_of(recipe)
    if key is None:
        return None
    known = Known.of(store, key)
    if known is None and Known.is_there(store, key):
        return None
    size = recipe.image_size or max(native_size(name) for name in recipe.backbones)
    paths = [picture.path for picture in listing.pictures]
    return Ahead(paths, DecodeRecipe(size, size, recipe.fit), store, known)


@contextmanager
def _sharing_python() -> Iterator[None]:
    """Let threads have their turn more often while this one imports: each of theirs is short, each of its own long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
