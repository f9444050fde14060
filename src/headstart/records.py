"""What a RUN says of its training and of its pictures, and where these are now."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from headstart.bundle import Run
from headstart.errors import RunError
from headstart.images.given import locate
from headstart.images.pictures import SIDE_NAMES, Side
from headstart.recipe import Recipe
from headstart.run_files import ABOUT, ODD_NAMES, SPLITS, damaged
from headstart.texts import active


def recipe_of(run: Run) -> Recipe:
    """How a RUN was trained, by an older headstart, too.

    Raises:
        RunError: if it does not say.
    """
    known = {field.name for field in fields(Recipe)}
    try:
        return Recipe(**{name: value for name, value in run.about["recipe"].items() if name in known})
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{run.path / ABOUT} does not say how it was trained. Train it again.") from None


def read_table(run: Run, name: str) -> Iterator[dict[str, str]]:
    """The rows of a table of a RUN, with texts as they were before they were made harmless for spreadsheets.

    Raises:
        RunError: if it is missing or damaged.
    """
    try:
        with open(run.path / name, newline="", encoding="utf-8", errors=ODD_NAMES) as file:
            for row in csv.DictReader(file):
                if None in row or None in row.values():  # more or fewer cells than the header has
                    raise damaged(run.path / name)
                yield {column: active(cell) for column, cell in row.items()}
    except (OSError, csv.Error):
        raise damaged(run.path / name) from None


def find_pictures(run: Run, data: str | None = None) -> Callable[[str, Side], str]:
    """Where the pictures of a RUN are: from a name in its tables, and a side, to a path. Single ones may be gone.

    Args:
        run: the RUN.
        data: where the data is now; None for where it was in training.

    Raises:
        RunError: if the RUN does not say how it was trained.
        DataError: if the data is not there.
    """
    recipe = recipe_of(run)
    return locate(recipe if data is None else replace(recipe, data=data))


def names_on(run: Run, side: Side) -> list[str]:
    """The names of the pictures on one side of a RUN's split, in the order of its table.

    Raises:
        RunError: if that is missing or damaged.
    """
    try:
        return [row["path"] for row in read_table(run, SPLITS) if SIDE_NAMES[row["side"]] == side]
    except KeyError:
        raise damaged(run.path / SPLITS) from None
