"""Exporting features, read aloud: check, keep them in the store, put the pictures on their sides, write."""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart.atomic import whole_file
from headstart.bundle import Run
from headstart.errors import DataError, InputError, RecipeError, nearest, require_free_space, storage_errors
from headstart.feature_files.formats import WRITERS, require
from headstart.feature_files.of_run import keep_of_run
from headstart.feature_files.table import Table
from headstart.features.engine import LOCAL, Engine
from headstart.features.extract import Extraction
from headstart.features.store import Store
from headstart.images.dataset import Dataset, check_shares, make_dataset
from headstart.images.decode import DecodeRecipe
from headstart.images.given import listed, shares_of
from headstart.images.pictures import Quarantined
from headstart.loading import load_keras
from headstart.objects.addresses import require_local
from headstart.progress import bar
from headstart.recipe import Recipe
from headstart.records import recipe_of

OF_DATA = ("val", "test", "fold", "split", "label_pattern", "group_by", "seed")
"""The choices that say how data is read and divided: those of a RUN are taken over where others are not given."""

_VAL = {"val", "fold", "split"}  # of which one says what is for validation

_HINT = "Free some space there, or give another --out."
_BYTES_BESIDE = 1 << 11  # of a row, beside its features


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        path: the file.
        pictures: its rows.
        width: of the features of one picture.
        classes: the class names.
        backbone: whose features they are.
        extracted: pictures that went through the frozen part.
        reused: pictures whose features were there already.
        quarantined: the files that were left out, and why.
        seconds: how long it took.
    """

    path: str
    pictures: int
    width: int
    classes: tuple[str, ...]
    backbone: str
    extracted: int
    reused: int
    quarantined: tuple[Quarantined, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        left_out = [{"path": bad.path, "reason": bad.reason} for bad in self.quarantined]
        return {**vars(self), "classes": list(self.classes), "quarantined": left_out}


@dataclass(frozen=True)
class _Found:
    """Pictures on their sides, with features."""

    dataset: Dataset
    features: Extraction
    left_out: tuple[Quarantined, ...]
    about: dict[str, Any]


def export(
    data: str,
    out: str | os.PathLike[str],
    run: str | os.PathLike[str] | None,
    choices: Mapping[str, Any],
    force: bool = False,
    show: bool = False,
    trains: bool = True,
    engine: Engine = LOCAL,
) -> Exported:
    """Write the features of pictures to a file.

    Args:
        data: what `train` takes.
        out: the file; its suffix says which format.
        run: a finished RUN whose frozen half is taken; None for that of the recipe.
        choices: fields of the recipe, those alone that were chosen.
        force: whether a file that is there is replaced.
        show: whether to draw progress bars.
        trains: whether this process may train by gradients later, see `load_keras`.
        engine: who runs frozen parts over the pictures.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if what writes the format, or Keras, is not installed.
    """
    started = time.perf_counter()
    target = check_target(out, data, force)
    if run is None:
        found = _of_recipe(data, choices, show, trains, engine)
    else:
        found = _of_run(data, Run(run), choices, show, engine)
    table = Table(found.dataset.classes, found.dataset.examples, found.features, found.about)
    with storage_errors(target, _HINT), bar("writing", len(table), "pictures", show) as advance:
        require_free_space(target.parent, len(table) * (4 * table.width + _BYTES_BESIDE))
        with whole_file(target) as temporary:
            WRITERS[target.suffix.lower()](temporary, table, advance)
    return Exported(
        path=os.fspath(out),
        pictures=len(table),
        width=table.width,
        classes=found.dataset.classes,
        backbone=found.about["backbone"],
        extracted=found.features.extracted,
        reused=found.features.reused,
        quarantined=found.left_out,
        seconds=time.perf_counter() - started,
    )


def check_target(out: str | os.PathLike[str], data: str, force: bool = False) -> Path:
    """Make sure, before anything is computed, that features can be written to a file.

    Raises:
        InputError: if its suffix is unknown, it is there already, or inside the data.
        MissingExtraError: if what writes that format is not installed.
        StorageError: if nothing can be written there.
    """
    require_local(out, "what is written")
    target = Path(out).resolve()
    suffix = target.suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"{out} has no suffix that says which format: {nearest(suffix, WRITERS)}")
    require(suffix)
    if target.is_dir():
        raise InputError(f"{out} is a folder. Give the name of a file.")
    if target.exists() and not force:
        raise InputError(f"{out} exists. Give another --out, or --force to replace it.")
    if target.is_relative_to(Path(data).resolve()):
        raise InputError(f"{out} is inside {data}, where it would be taken for pictures. Give another --out.")
    with storage_errors(target, _HINT):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(dir=target.parent))
    return target


def _of_recipe(data: str, choices: Mapping[str, Any], show: bool, trains: bool, engine: Engine) -> _Found:
    """As a training with strategy `head` keeps them, in the same place of the store."""
    recipe = Recipe(data, strategy="head", **choices)
    if problems := recipe.problems():
        raise RecipeError(problems)
    # Only Keras knows the names of ImageNet's classes; other data is looked at before Keras is imported.
    listing = None if recipe.extend_imagenet else listed(recipe)
    load_keras("computing features", trains or not (recipe.is_solved and recipe.weights == "imagenet"))
    from headstart.pipeline import keep_features

    session, cut = keep_features(recipe, show, listing, engine)
    assert session.data is not None
    identity, decode = cut.frozen.runtime.identity, session.keeper.decode
    about = _about(recipe.to_dict(), decode) | {"precision": identity.precision, "frozen_part": cut.frozen.digest}
    left_out = (*session.keeper.listing.skipped, *session.left_out)
    return _Found(session.data, cut.features, left_out, about)


def _of_run(data: str, run: Run, choices: Mapping[str, Any], show: bool, engine: Engine) -> _Found:
    """What the frozen half of a RUN gives; its classes, and its way of dividing where no other is chosen."""
    if others := [name for name in choices if name not in OF_DATA]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise RecipeError([f"{run.path} says what computes its features; leave {options} out."])
    before = recipe_of(run).to_dict()
    taken = {name: before[name] for name in OF_DATA if not (name in _VAL and _VAL & choices.keys())}
    recipe = Recipe(data, **taken | dict(choices))
    if problems := recipe.problems():
        raise RecipeError(problems)
    listing, shares = listed(recipe, run.classes), shares_of(recipe)
    check_shares(listing, shares)
    store = Store()
    store.prepare()
    features = keep_of_run(run, [picture.path for picture in listing.pictures], store, show, engine)
    if not features.digests:
        raise DataError(f"none of the {len(listing.pictures)} files in {data} is a picture that can be decoded.")
    dataset = make_dataset(listing, features.digests, shares)
    dataset.warn(data)
    about = _about(before | {"data": data}, run.decode_recipe)
    about |= {"precision": run.precision, "frozen_part": run.about.get("frozen_part"), "run": os.fspath(run.path)}
    return _Found(dataset, features, (*listing.skipped, *features.quarantined), about)


def _about(choices: Mapping[str, Any], decode: DecodeRecipe) -> dict[str, Any]:
    """Where features come from."""
    names = ("data", "backbone", "weights", "tap", "include_top", "batchnorm", "standardise")
    said = {name: choices.get(name) for name in names}
    return {"headstart": version("headstart"), **said, "decode": decode.to_dict(), "run": None}
