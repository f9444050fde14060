"""How a comparison begins: what was given is checked and the pictures are found before Keras is imported."""

import os
from collections.abc import Sequence

from headstart.comparing.comparison import Comparison
from headstart.comparing.entries import Entry
from headstart.errors import RecipeError
from headstart.features.engine import LOCAL, Engine
from headstart.images.dataset import check_shares
from headstart.images.given import listed, shares_of
from headstart.loading import load_keras
from headstart.recipe import Recipe


def start_compare(
    recipe: Recipe,
    entries: Sequence[Entry],
    all_cached: bool,
    sample: int,
    out: str | os.PathLike[str] | None,
    show: bool,
    trains: bool = True,
    engine: Engine = LOCAL,
) -> Comparison:
    """Compare backbones as `headstart.comparing.compare.run_compare` does, and write down what was found.

    Args:
        recipe: what all have in common.
        entries: the backbones.
        all_cached: whether all whose weights are on this machine take part, too.
        sample: pictures that all are judged on first.
        out: folder to write to; None for none.
        show: whether to draw progress bars on a terminal.
        trains: whether this process may train by gradients later, see `load_keras`.
        engine: who reads the pictures and runs backbones over them.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if something is not installed.
    """
    if not entries and not all_cached:
        raise RecipeError(["there is nothing to compare; name some backbones, or all that are cached."])
    if sample < 2:
        raise RecipeError([f"sample is {sample}; at least 2 pictures are needed."])
    if problems := recipe.problems():
        raise RecipeError(problems)
    from headstart.comparing.report import check_report, write_report

    folder = None if out is None else check_report(out, recipe.data)
    listing = listed(recipe)
    check_shares(listing, shares_of(recipe))
    load_keras("headstart compare", trains)
    from headstart.comparing.compare import run_compare

    found = run_compare(recipe, entries, listing, all_cached, sample, show, engine)
    if folder is not None:
        write_report(found, folder)
    return found
