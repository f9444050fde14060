"""Transfer learning for image classification on Keras 3.

    import headstart as hs

    run = hs.train("photos/", backbone="mobilenet_v2", out="run")
    run.predict("new.jpg")                  # also in a new process, without Keras: hs.load("run").predict("new.jpg")
    run.model                               # a plain keras.Model
    parts = hs.split(model)                 # parts.frozen, parts.trainable; hs.join(parts) puts them together

Importing headstart imports neither Keras nor TensorFlow; `train`, `split`, `join` and `backbones` do when they are
first used, and need `headstart[train]`.
"""

import os
from typing import TYPE_CHECKING, Any

from headstart.auditing.findings import SHOWN, Audit
from headstart.beginning import start
from headstart.bundle import Evaluation, Prediction, Run
from headstart.errors import HeadstartError, InputError
from headstart.loading import load_keras, require_audit
from headstart.recipe import Recipe
from headstart.workplace import unfinished

if TYPE_CHECKING:
    from headstart.exporting.export import Exported
    from headstart.folds import CrossValidation
    from headstart.models.backbones import backbones
    from headstart.models.cut import Parts, join, split

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "Evaluation",
    "HeadstartError",
    "InputError",
    "Parts",
    "Prediction",
    "Recipe",
    "Run",
    "audit",
    "backbones",
    "cross_validate",
    "evaluate",
    "export_features",
    "join",
    "load",
    "resume",
    "split",
    "train",
]

_NEED_KERAS = {"Parts": "models.cut", "backbones": "models.backbones", "join": "models.cut", "split": "models.cut"}


def train(data: str | os.PathLike[str], *, progress: bool = True, **choices: Any) -> Run:
    """Train a classifier on a folder of pictures.

    Args:
        data: folder of class folders, or of `train` and `val` folders of class folders.
        progress: whether to draw progress bars on a terminal.
        **choices: the other fields of `Recipe`.

    Returns:
        The RUN that was written.

    Raises:
        InputError: if anything that was given cannot be used; what was computed by then is in the store.
        MissingExtraError: if Keras is not installed.
    """
    return start(_recipe(data, choices), progress)


def cross_validate(
    data: str | os.PathLike[str], folds: int = 5, *, progress: bool = True, **choices: Any
) -> "CrossValidation":
    """Train once for each of several folds, so that every picture is checked by a model that has not seen it.

    Args:
        data: as for `train`.
        folds: how many.
        progress: whether to draw progress bars on a terminal.
        **choices: the other fields of `Recipe`; `out` is the folder for the RUNs.

    Returns:
        The RUNs and the figures over all folds.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if Keras is not installed.
    """
    recipe = _recipe(data, choices)
    load_keras("training")
    from headstart.folds import cross_validate as run_folds

    return run_folds(recipe, folds, show=progress)


def resume(run: str | os.PathLike[str], *, progress: bool = True) -> Run:
    """Go on with a training that was interrupted; it ends as it would have ended without the interruption.

    Args:
        run: the `out` of that training.
        progress: whether to draw progress bars on a terminal.

    Raises:
        RunError: if no unfinished training is there.
    """
    return start(unfinished(run), progress)


def audit(
    data: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | None = None,
    backbone: str = "nano",
    features: bool = True,
    out: str | os.PathLike[str] | None = None,
    max_shown: int = SHOWN,
    progress: bool = True,
    **choices: Any,
) -> Audit:
    """Look at pictures and labels before anything is learned from them.

    Args:
        data: what `train` takes.
        against: new pictures, labelled or not, to compare the training pictures with: a folder, zip or file.
        backbone: whose features are compared.
        features: whether to compute features; without them there are fewer checks, and Keras is not needed.
        out: folder to write the page and the tables to; None for neither.
        max_shown: findings of each check on the page.
        progress: whether to draw progress bars on a terminal.
        **choices: of the fields of `Recipe` those that say how data is read and split, and how features are computed.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if what an audit needs is not installed, or Keras where features are wanted.
    """
    require_audit("headstart audit")
    recipe = Recipe(data=os.fspath(data), backbone=backbone, strategy="head", **choices)
    from headstart.auditing.audit import run_audit
    from headstart.auditing.report import check_folder, write_report

    folder = None if out is None else check_folder(out, data)
    found = run_audit(recipe, against, features, progress)
    if folder is not None:
        write_report(found, folder, max_shown, progress)
    return found


def export_features(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    run: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: bool = True,
    **choices: Any,
) -> "Exported":
    """Write the features of pictures to a file, with labels, paths and sides; see `docs/features.md`.

    Args:
        data: what `train` takes.
        out: the file: `.npz`, `.h5` or `.parquet`.
        run: a finished RUN whose frozen half is taken; Keras is not needed then. None for that of the recipe.
        force: whether a file that is there is replaced.
        progress: whether to draw progress bars on a terminal.
        **choices: of the fields of `Recipe` those that say how data is read and split, and how features are computed.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if what writes the format, or Keras where there is no `run`, is not installed.
    """
    from headstart.exporting.export import export

    return export(os.fspath(data), out, run, choices, force, progress)


def load(run: str | os.PathLike[str]) -> Run:
    """Open a RUN folder.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    return Run(run)


def evaluate(run: str | os.PathLike[str] | Run, data: str | os.PathLike[str]) -> Evaluation:
    """Compare what a RUN says of labelled pictures with their labels; see `Run.evaluate`."""
    opened = run if isinstance(run, Run) else Run(run)
    return opened.evaluate(data)


def _recipe(data: str | os.PathLike[str], choices: dict[str, Any]) -> Recipe:
    out = choices.pop("out", None)
    return Recipe(data=os.fspath(data), out=None if out is None else os.fspath(out), **choices)


def __getattr__(name: str) -> Any:
    if name not in _NEED_KERAS:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    load_keras(f"headstart.{name}")
    from importlib import import_module

    return getattr(import_module(f"headstart.{_NEED_KERAS[name]}"), name)
