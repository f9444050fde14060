"""What `import headstart` offers: every job as a function."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.answers import Evaluation
from headstart.auditing.findings import SHOWN, Audit
from headstart.beginning import start
from headstart.bundle import Run
from headstart.comparing.comparison import Comparison
from headstart.comparing.entries import CHOICES, SAMPLE, parse_entries
from headstart.comparing.start import start_compare
from headstart.errors import RecipeError
from headstart.features.engine import LOCAL, Engine
from headstart.loading import load_keras, require_audit
from headstart.recipe import Recipe
from headstart.workplace import check_folder, unfinished

if TYPE_CHECKING:
    from headstart.explaining.explain import Explanation, MethodName
    from headstart.exporting.export import Exported as ExportedModel
    from headstart.exporting.formats import ExportPrecision, FormatName
    from headstart.feature_files.export import Exported
    from headstart.folds import CrossValidation


def train(data: str | os.PathLike[str], *, engine: Engine = LOCAL, progress: bool = True, **choices: Any) -> Run:
    """Train a classifier on a folder of pictures.

    Args:
        data: folder of class folders, or of `train` and `val` folders of class folders.
        engine: who runs frozen parts over the pictures: this process, or a `RayEngine`.
        progress: whether to draw progress bars on a terminal.
        **choices: the other fields of `Recipe`.

    Returns:
        The RUN that was written.

    Raises:
        InputError: if anything that was given cannot be used; what was computed by then is in the store.
        MissingExtraError: if Keras is not installed.
    """
    return start(_recipe(data, choices), progress, engine=engine)


def cross_validate(
    data: str | os.PathLike[str], folds: int = 5, *, engine: Engine = LOCAL, progress: bool = True, **choices: Any
) -> "CrossValidation":
    """Train once for each of several folds, so that every picture is checked by a model that has not seen it.

    Args:
        data: as for `train`.
        folds: how many.
        engine: who runs frozen parts over the pictures: this process, or a `RayEngine`.
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

    return run_folds(recipe, folds, show=progress, engine=engine)


def resume(run: str | os.PathLike[str], *, engine: Engine = LOCAL, progress: bool = True) -> Run:
    """Go on with a training that was interrupted; it ends as it would have ended without the interruption.

    Args:
        run: the `out` of that training.
        engine: who runs frozen parts over the pictures: this process, or a `RayEngine`.
        progress: whether to draw progress bars on a terminal.

    Raises:
        RunError: if no unfinished training is there.
    """
    return start(unfinished(run), progress, engine=engine)


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
    from headstart.auditing.report import PAGE, TABLES, write_report

    folder = None if out is None else check_folder(out, data, {PAGE, *TABLES})
    found = run_audit(recipe, against, features, progress)
    if folder is not None:
        write_report(found, folder, max_shown, progress)
    return found


def compare(
    data: str | os.PathLike[str],
    backbones: str | Sequence[str] = (),
    *,
    all_cached: bool = False,
    weights: str = "imagenet",
    sample: int = SAMPLE,
    out: str | os.PathLike[str] | None = None,
    engine: Engine = LOCAL,
    progress: bool = True,
    **choices: Any,
) -> Comparison:
    """Find the backbone for some pictures: how accurate each is with a solved head, how fast, and which one to take.

    Args:
        data: what `train` takes.
        backbones: `NAME[@PIXELS][:WEIGHTS]` each, a sequence or with commas between.
        all_cached: whether all backbones take part, too, whose ImageNet weights are on this machine.
        weights: for those that name none.
        sample: pictures that all are judged on first; ten for each class at least.
        out: folder to write the page, the table and the JSON to; None for neither.
        engine: who runs frozen parts over the pictures: this process, or a `RayEngine`.
        progress: whether to draw progress bars on a terminal.
        **choices: fields of `Recipe`, of those in `headstart.comparing.entries.CHOICES`.

    Raises:
        InputError: if anything that was given cannot be used, or no backbone can be had.
        MissingExtraError: if Keras is not installed.
    """
    if others := choices.keys() - set(CHOICES):
        raise RecipeError([f"a comparison takes no {name}; it takes {', '.join(CHOICES)}." for name in sorted(others)])
    recipe = Recipe(data=os.fspath(data), strategy="head", **choices)
    return start_compare(recipe, parse_entries(backbones, weights), all_cached, sample, out, progress, engine=engine)


def export_features(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    run: str | os.PathLike[str] | None = None,
    force: bool = False,
    engine: Engine = LOCAL,
    progress: bool = True,
    **choices: Any,
) -> "Exported":
    """Write the features of pictures to a file, with labels, paths and sides; see `docs/features.md`.

    Args:
        data: what `train` takes.
        out: the file: `.npz`, `.h5` or `.parquet`.
        run: a finished RUN whose frozen half is taken; Keras is not needed then. None for that of the recipe.
        force: whether a file that is there is replaced.
        engine: who runs frozen parts over the pictures: this process, or a `RayEngine`.
        progress: whether to draw progress bars on a terminal.
        **choices: of the fields of `Recipe` those that say how data is read and split, and how features are computed.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if what writes the format, or Keras where there is no `run`, is not installed.
    """
    from headstart.feature_files.export import export

    return export(os.fspath(data), out, run, choices, force, progress, engine=engine)


def export(
    run: str | os.PathLike[str] | Run,
    formats: "FormatName | Sequence[FormatName]",
    *,
    out: str | os.PathLike[str] | None = None,
    precision: "ExportPrecision" = "f32",
    data: str | os.PathLike[str] | None = None,
    max_drop: float = 1.5,
    force: bool = False,
    progress: bool = True,
) -> "list[ExportedModel]":
    """Write a RUN in formats that others use; see `docs/export.md`.

    Each is loaded again in a new process by its own runtime and compared with the RUN before it gets its name.

    Args:
        run: the RUN, or its folder.
        formats: one or several of `keras`, `saved_model`, `onnx`, `openvino` and `litert`.
        out: where each gets a folder of its own; None for `export` in the RUN.
        precision: of the weights: `f32`, `f16`, or `int8`, which is calibrated on training pictures.
        data: where the pictures of the RUN are now; None for where they were in training.
        max_drop: percentage points of accuracy on the validation pictures that int8 may cost.
        force: whether exports that are there are replaced.
        progress: whether to draw progress bars on a terminal.

    Raises:
        InputError: if anything that was given cannot be used, or int8 costs more than it may.
        MissingExtraError: if what writes a format is not installed.
        HeadstartError: if a network cannot be converted, or an export says something else than the RUN.
    """
    from headstart.exporting.export import export as write

    opened = run if isinstance(run, Run) else Run(run)
    names = [formats] if isinstance(formats, str) else list(formats)
    return write(opened, names, out, precision, None if data is None else os.fspath(data), max_drop, force, progress)


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


def explain(
    run: str | os.PathLike[str] | Run,
    pictures: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    method: "MethodName | None" = None,
    layer: str | int | None = None,
    label: str | None = None,
) -> "list[Explanation]":
    """Find out which places of pictures speak for a class, as heat maps.

    Args:
        run: the RUN.
        pictures: files, and folders of them; those that cannot be decoded are left out.
        method: `grad-cam`, `eigen-cam` or `occlusion`; None for Grad-CAM where Keras can compute gradients, else
            occlusion, which needs no Keras.
        layer: name or number of the layer whose map is looked at; None for the last one.
        label: the class that is asked about; None for the most probable one of each picture.

    Raises:
        InputError: if anything that was given cannot be used.
        MissingExtraError: if Keras is needed and not installed.
    """
    from headstart.explaining.explain import Explainer, Explanation
    from headstart.images.sources import list_any

    given = [pictures] if isinstance(pictures, str | os.PathLike) else list(pictures)
    paths = [picture.path for picture in list_any(given)]
    found = Explainer(run if isinstance(run, Run) else Run(run), method, layer, label).stream(paths)
    return [one for one in found if isinstance(one, Explanation)]


def report(
    run: str | os.PathLike[str] | Run,
    *,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Path:
    """Draw the page of a RUN anew: whether to trust it, why it errs, what to try next.

    Args:
        run: the RUN, or its folder.
        out: the file to write; None for `report.html` in the RUN.
        data: where its pictures are now; None for where they were in training.
        progress: whether to draw a progress bar on a terminal.

    Returns:
        The file.

    Raises:
        InputError: if there is no such RUN, a table of it is damaged, or the page cannot be written.
    """
    from headstart.reporting.report import write_report

    opened = run if isinstance(run, Run) else Run(run)
    return write_report(opened, out, None if data is None else os.fspath(data), show=progress)


def _recipe(data: str | os.PathLike[str], choices: dict[str, Any]) -> Recipe:
    out = choices.pop("out", None)
    return Recipe(data=os.fspath(data), out=None if out is None else os.fspath(out), **choices)
