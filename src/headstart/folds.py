"""Cross-validation: a RUN for each of several folds, so that every picture is checked by a model that has not seen it.

    OUT/fold-1 ...          the RUNs
    OUT/predictions.csv     what each picture was taken for by the model of the fold that held it out
    OUT/metrics.json        the figures over all of them, and how much they differ from fold to fold

The features are those of the first fold, so the others cost what their heads and fine-tuning cost.
"""

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bundle import Run
from headstart.errors import RecipeError, RunError, storage_errors
from headstart.features.engine import LOCAL, Engine
from headstart.objects.addresses import require_local
from headstart.pipeline import train
from headstart.recipe import Recipe
from headstart.run_files import METRICS, ODD_NAMES, PREDICTIONS, write_csv, write_json
from headstart.workplace import OUT_HINT

MOST_FOLDS = 100


@dataclass(frozen=True)
class CrossValidation:
    """What came of it.

    Attributes:
        path: the folder with a RUN for each fold.
        runs: the RUNs, in the order of the folds.
        metrics: `accuracy` and `loss` over all pictures that were held out, `n` of them; `accuracy_mean`,
            `accuracy_std` (the sample standard deviation) and the same for `loss` over the folds; with a test part
            the same for `test_accuracy` and `test_loss`; `folds`, the figures of each.
    """

    path: Path
    runs: tuple[Run, ...]
    metrics: dict[str, Any]


def cross_validate(recipe: Recipe, folds: int, show: bool = False, engine: Engine = LOCAL) -> CrossValidation:
    """Train once for each fold.

    Folds that are finished are not trained again, and one that was interrupted goes on.

    Args:
        recipe: every choice but the fold; `out` is the folder for the RUNs.
        folds: how many, from 2 to `MOST_FOLDS`.
        show: whether to draw progress bars on a terminal.
        engine: who runs frozen parts over the pictures.

    Raises:
        InputError: if anything that was given cannot be used.
        KeyboardInterrupt: if a person stopped the training of a fold; the same call goes on from there.
    """
    if recipe.fold is not None or not 2 <= folds <= MOST_FOLDS:
        raise RecipeError(
            [f"folds is {folds}; it lies from 2 to {MOST_FOLDS}, and fold, which names one, is left out."]
        )
    require_local(recipe.out or "", "a RUN")
    out = Path(recipe.out or Path(tempfile.mkdtemp(prefix="headstart-")) / "folds")
    if (out / "bundle.json").exists():
        raise RunError(f"{out} holds a RUN already. Give another --out.")
    runs = []
    for number in range(1, folds + 1):
        chosen = replace(recipe, fold=f"{number}/{folds}", out=str(out / f"fold-{number}"))
        run = _finished(chosen) or train(chosen, show, engine=engine)
        if run.metrics["interrupted"]:
            raise KeyboardInterrupt
        runs.append(run)
    with storage_errors(out, OUT_HINT):
        return CrossValidation(out, tuple(runs), _write(out, runs))


def _finished(recipe: Recipe) -> Run | None:
    """The RUN of the same recipe that is there already."""
    try:
        run = Run(str(recipe.out))
    except RunError:
        return None
    return run if run.about["recipe"] == recipe.to_dict() and not run.metrics["interrupted"] else None


def _write(out: Path, runs: Sequence[Run]) -> dict[str, Any]:
    rows = [row for number, run in enumerate(runs, start=1) for row in _held_out(run, number)]
    write_csv(out / PREDICTIONS, list(rows[0]), (list(row.values()) for row in rows))
    weights = [run.metrics["n"] for run in runs]
    figures: dict[str, Callable[[Run], float]] = {
        "accuracy": lambda run: run.metrics["accuracy"],
        "loss": lambda run: run.metrics["loss"],
    }
    if all("test" in run.metrics for run in runs):
        figures |= {
            "test_accuracy": lambda run: run.metrics["test"]["accuracy"],
            "test_loss": lambda run: run.metrics["test"]["loss"],
        }
    values = {name: [figure(run) for run in runs] for name, figure in figures.items()}
    content: dict[str, Any] = {
        "accuracy": float(np.average(values["accuracy"], weights=weights)),
        "loss": float(np.average(values["loss"], weights=weights)),
        "n": sum(weights),
        **{f"{name}_mean": float(np.mean(found)) for name, found in values.items()},
        **{f"{name}_std": float(np.std(found, ddof=1)) for name, found in values.items()},
        "folds": [
            {"fold": number, "n": run.metrics["n"], **{name: found[number - 1] for name, found in values.items()}}
            for number, run in enumerate(runs, start=1)
        ],
        "run": str(out),
    }
    write_json(out / METRICS, content)
    return content


def _held_out(run: Run, number: int) -> Iterator[dict[str, str]]:
    with open(run.path / PREDICTIONS, newline="", encoding="utf-8", errors=ODD_NAMES) as file:
        for row in csv.DictReader(file):
            if row["side"] == "val":
                yield {"fold": str(number), **row}
