"""How a training begins: its pictures are found before Keras is imported, so that bad data is refused at once."""

import sys

from headstart.bundle import Run
from headstart.distributed.processes import asked_for
from headstart.features.engine import LOCAL, Engine
from headstart.images.given import listed
from headstart.loading import load_keras
from headstart.objects.addresses import is_address
from headstart.progress import waiting
from headstart.recipe import Recipe


def start(recipe: Recipe, show: bool, trains: bool = True, engine: Engine = LOCAL) -> Run:
    """Train as `headstart.pipeline.train` does, and import Keras for it.

    Args:
        recipe: every choice.
        show: whether to draw progress bars on a terminal.
        trains: whether this process may train by gradients, now or later, see `load_keras`.
        engine: who runs frozen parts over the pictures.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if Keras is not installed.
    """
    # One of several processes says what all of them meet, and for that they have to have met.
    several = asked_for().count > 1
    early = "keras" not in sys.modules and not recipe.problems() and not several
    # Only Keras knows the names of ImageNet's classes.
    with waiting("finding the pictures", show and is_address(recipe.data)):
        listing = listed(recipe) if early and not recipe.extend_imagenet else None
    load_keras("training", trains, bare=several)
    from headstart.pipeline import train

    return train(recipe, show, listing, engine)
