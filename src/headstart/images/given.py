"""What a recipe says of the data: which pictures there are, and how they are divided."""

from collections.abc import Callable, Sequence

from headstart.images.groups import group_by_name
from headstart.images.labels import read_labels
from headstart.images.manifest import read_manifest
from headstart.images.pictures import Listing, Side
from headstart.images.sources import list_labelled, named_below
from headstart.images.split import Shares
from headstart.objects.addresses import joined
from headstart.recipe import Recipe
from headstart.specs import parse_fold

_USUAL_SHARE = 0.2  # of validation pictures, where val is a folder and so no share


def listed(recipe: Recipe, classes: Sequence[str] | None = None) -> Listing:
    """Find the pictures, each with its label, and its side and group where somebody says so.

    Args:
        recipe: where they are.
        classes: the classes there are; None for those of the recipe's file of labels, or else those that have pictures.

    Raises:
        DataError: if they cannot be found, or do not make classes to learn.
    """
    val, test = (place if isinstance(place, str) else None for place in (recipe.val, recipe.test))
    if classes is None and recipe.labels:
        classes = read_labels(recipe.labels)
    listing = list_labelled(recipe.data, val, test, classes, recipe.label_pattern)
    return listing if recipe.group_by is None else group_by_name(listing, recipe.group_by)


def shares_of(recipe: Recipe) -> Shares:
    """How the pictures are divided where no folder does it.

    Raises:
        DataError: if the earlier split that the recipe names cannot be read.
    """
    return Shares(
        recipe.val if isinstance(recipe.val, float) else _USUAL_SHARE,
        recipe.test if isinstance(recipe.test, float) else None,
        recipe.seed,
        None if recipe.fold is None else parse_fold(recipe.fold),
        {} if recipe.split is None else read_manifest(recipe.split),
    )


def locate(recipe: Recipe) -> Callable[[str, Side], str]:
    """Where pictures are that are known by their names: from a name in the tables of a RUN, and its side, to a path.

    Args:
        recipe: where they were when the RUN was trained.

    Raises:
        DataError: if what they were in is not there. Of what is, single pictures may be gone.
    """
    val, test = (place if isinstance(place, str) else None for place in (recipe.val, recipe.test))
    roots = named_below(recipe.data, val, test, recipe.label_pattern)
    return lambda name, side: joined(roots[side], name)
