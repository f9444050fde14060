"""The pictures that a RUN was checked on, found again where they were."""

import csv
from collections.abc import Sequence
from dataclasses import fields

from headstart.bundle import Run
from headstart.errors import DataError, InputError
from headstart.images.given import listed
from headstart.images.pictures import Picture, Side
from headstart.recipe import Recipe
from headstart.texts import inert


def own_pictures(run: Run, side: Side = "val") -> list[str]:
    """The paths of the pictures on one side of a RUN's split, in the order of its `splits.csv`.

    Raises:
        DataError: if the split cannot be read, or none of the pictures is where it was.
    """
    wanted = _names(run, side)
    there = {inert(picture.name): picture.path for picture in _listed(run)}
    found = [there[name] for name in wanted if name in there]
    if not found:
        raise DataError(f"none of the {len(wanted)} {side} pictures of {run.path} is where it was. Give pictures.")
    return found


def _names(run: Run, side: Side) -> list[str]:
    try:
        with open(run.path / "splits.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
            return [row["path"] for row in csv.DictReader(file) if row["side"] == side]
    except (OSError, KeyError, csv.Error):
        raise DataError(f"{run.path} has no splits.csv that can be read. Give pictures.") from None


def _listed(run: Run) -> Sequence[Picture]:
    given = dict(run.about.get("recipe") or {})
    try:
        known = {field.name for field in fields(Recipe)}
        recipe = Recipe(**{name: value for name, value in given.items() if name in known} | {"labels": None})
        return listed(recipe).pictures
    except (InputError, TypeError, ValueError) as error:
        raise DataError(f"the pictures of {run.path} are not where they were: {error} Give pictures.") from None
