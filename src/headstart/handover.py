"""What a training hands over: the models written down, loaded again and compared, the figures, the tables."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headstart.errors import HeadstartError
from headstart.evaluation.evaluate import Figures, figures, of_both_classes
from headstart.evaluation.unlike import REFERENCES, learn_familiarity, pooled, write_familiarity
from headstart.features.convert import export_openvino, why_not_converted
from headstart.features.extract import in_batches, load_pictures
from headstart.features.runtime import PIXELS, KerasRuntime, OpenVINORuntime, PixelsRuntime, Precision, Runtime
from headstart.images.dataset import Dataset, Labelled
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Quarantined, Side
from headstart.recipe import Recipe
from headstart.run_files import (
    FAMILIARITY,
    FROZEN,
    HISTORY,
    METRICS,
    MODEL,
    PREDICTIONS,
    QUARANTINE,
    SPLITS,
    TRAINABLE,
    columns,
    write_about,
    write_csv,
    write_json,
)
from headstart.training.session import Cut, Session, Stage
from headstart.training.strategies import Outcome

log = logging.getLogger(__name__)

Checked = dict[str, float]
"""Figures that the check has brought to light."""

SAVED_TOLERANCE = 2e-3
"""The largest difference of a probability between what was reported and what the saved model says, both in f32."""

CHECKED_PICTURES = 8
_AT_ONCE = 256  # pictures whose features are in memory
_PACKAGES = (
    "headstart",
    "keras",
    "tensorflow",
    "openvino",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
)


def write_models(folder: Path, model: keras.Model, cut: Cut) -> None:
    """Write the model for Keras, and its halves for OpenVINO where that runs the frozen one, or nothing is frozen."""
    model.save(folder / MODEL)
    converted = cut.frozen.runtime.converted
    if reason := why_not_converted():
        log.warning("%s, so RUN has no runtime/ and needs Keras.", reason)
        return
    if converted is None and cut.frozen.runtime.identity.name != PIXELS:
        return
    (folder / TRAINABLE).parent.mkdir()
    if converted is not None:
        for suffix in (".xml", ".bin"):
            shutil.copyfile(converted.with_suffix(suffix), (folder / FROZEN).with_suffix(suffix))
    export_openvino(cut.parts.trainable, folder / TRAINABLE)


def check_models(folder: Path, pictures: Labelled, reported: np.ndarray, recipe: DecodeRecipe, cut: Cut) -> Checked:
    """Load what was written and compare it with what was reported.

    The model for Keras is loaded as a stranger would load it and run on a few pictures, and so are the halves for
    OpenVINO, which are removed if they say something else. Where the frozen half ran in bf16, the pictures are all
    classified once more in f32, which is what Keras computes in.

    Args:
        folder: where the models are.
        pictures: the validation pictures.
        reported: their probabilities, float32 `(pictures, classes)`.
        recipe: how pictures are decoded.
        cut: what was trained.

    Returns:
        Figures of the model as Keras runs it, where they can differ from those reported; else nothing.

    Raises:
        HeadstartError: if the saved model says something else.
    """
    in_keras, extra = reported, {}
    precision = cut.frozen.runtime.identity.precision
    if precision != "f32":
        in_keras = _classify_in_f32(folder, pictures, recipe)
        in_f32 = figures(in_keras, pictures.labels, [str(i) for i in range(in_keras.shape[1])])
        extra = {"accuracy_f32": in_f32.accuracy, "loss_f32": in_f32.loss}
    chosen = np.unique(np.linspace(0, len(pictures.paths) - 1, CHECKED_PICTURES).astype(int))
    pixels = np.stack([_pixels(content) for _, content in load_pictures([pictures.paths[i] for i in chosen], recipe)])
    with ThreadPoolExecutor(1) as pool:  # most of either is compiling, on one core
        halves = pool.submit(_check_halves, folder, pixels, reported[chosen], precision)
        saved = KerasRuntime(keras.saving.load_model(folder / MODEL, safe_mode=True), len(pixels), few=True)
        difference = _difference(saved, pixels, in_keras[chosen])
        halves.result()
    if not difference <= SAVED_TOLERANCE:
        raise HeadstartError(
            f"the saved model differs from what was trained by {difference:.2g} in a probability "
            f"(at most {SAVED_TOLERANCE:g} is rounding), so no RUN was written. Please report this backbone."
        )
    return extra


def _check_halves(folder: Path, pixels: np.ndarray, expected: np.ndarray, precision: Precision) -> None:
    if not (folder / TRAINABLE).exists():
        return
    whole = (folder / FROZEN).exists()
    frozen: Runtime = OpenVINORuntime(folder / FROZEN, precision, pixels=True) if whole else PixelsRuntime()
    trainable = OpenVINORuntime(folder / TRAINABLE, "f32", pixels=not whole)
    difference = _difference(lambda *batch: trainable(*frozen(*batch)), pixels, expected)
    if not difference <= SAVED_TOLERANCE:
        log.warning("OpenVINO's form of the model differs by %.2g in a probability, so RUN needs Keras.", difference)
        shutil.rmtree((folder / TRAINABLE).parent)


def _difference(runtime: Runtime, pixels: np.ndarray, expected: np.ndarray) -> float:
    found = runtime(pixels)[0]
    found = of_both_classes(found) if found.shape[1] == 1 else found
    return float(np.max(np.abs(found - expected)))


def write_history(folder: Path, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write `history.csv`: the rows of every stage, by the stage's name, whole or not at all."""
    rows = [{"stage": stage, **row} for stage, found in histories.items() for row in found]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    temporary = folder / f".{HISTORY}.tmp"
    write_csv(temporary, columns, ([row.get(name, "") for name in columns] for row in rows))
    os.replace(temporary, folder / HISTORY)


def write_tables(folder: Path, data: Dataset, outcome: Outcome, left_out: Sequence[Quarantined]) -> None:
    """Write `splits.csv`, `history.csv`, `quarantine.csv` and `predictions.csv`."""
    write_csv(
        folder / SPLITS,
        ("path", "label", "side", "digest", "group"),
        ((e.picture.name, e.picture.label, e.side, e.digest, e.picture.group or "") for e in data.examples),
    )
    write_history(folder, {stage.name: stage.history for stage in outcome.stages})
    write_csv(folder / QUARANTINE, ("path", "reason"), ((q.path, q.reason) for q in left_out))
    write_csv(
        folder / PREDICTIONS,
        columns(data.classes),
        (
            (e.picture.name, side, e.picture.label, data.classes[row.argmax()], row.max(), *row)
            for side, rows in outcome.kept.probabilities.items()
            for e, row in zip(data.side(side).examples, rows.astype(float), strict=True)
        ),
    )


def write_usual(folder: Path, session: Session, cut: Cut) -> None:
    """Write what training pictures look like to the frozen part, where there is one that OpenVINO runs."""
    if not (folder / FROZEN).exists():
        return
    train, val = (_pooled_features(session, cut, session.side(side).paths) for side in ("train", "val"))
    if (found := learn_familiarity(train, val)) is not None:
        write_familiarity(folder / FAMILIARITY, found)


def _pooled_features(session: Session, cut: Cut, paths: Sequence[str]) -> np.ndarray:
    """Of some of the pictures, drawn at random, the same ones each time."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(paths))[:REFERENCES])
    chosen, features = [paths[int(row)] for row in drawn], cut.features
    if not features.digests.keys() >= set(chosen):  # those in f32 of what learned from bf16: nobody needed them so far
        features = session.keeper.keep(cut.frozen, chosen)
        session.keeper.refuse_changed(chosen, features)
    return np.concatenate([pooled(features.read(piece)) for piece in in_batches(chosen, _AT_ONCE)])


def write_metrics(
    folder: Path, recipe: Recipe, model: keras.Model, data: Dataset, outcome: Outcome, more: Mapping[str, Any]
) -> None:
    """Write `metrics.json`: the figures on the validation pictures, and what they cost."""
    kept = outcome.kept
    results = {side: _figures(data, side, rows) for side, rows in kept.probabilities.items()}
    val = results["val"].to_dict()
    of_classes = {name: val.pop(name) for name in ("per_class", "confusion")}
    content = {
        **val,
        "chosen_on_these_pictures": outcome.chosen_on_val,
        "strategy": recipe.strategy,
        "kept": kept.name,
        "interrupted": any(stage.interrupted for stage in outcome.stages),
        "backbone": recipe.backbone,
        "head": kept.head.text,
        "duplicates_across_sides": len(data.across_sides),
        "data": recipe.data,
        "classes": list(data.classes),
        "trainable_params": _count(model.trainable_weights),
        "non_trainable_params": _count(model.non_trainable_weights),
        **more,
        **kept.details,
        "stages": {stage.name: _of_stage(data, stage) for stage in outcome.stages},
        **of_classes,
    }
    if outcome.difference is not None:
        content["gain"] = asdict(outcome.difference)
    if "test" in results:
        content["test"] = results["test"].to_dict()
    write_json(folder / METRICS, content)


def _figures(data: Dataset, side: Side, probabilities: np.ndarray) -> Figures:
    return figures(probabilities, data.side(side).labels, data.classes)


def _of_stage(data: Dataset, stage: Stage) -> dict[str, Any]:
    """A stage in short, to be compared with the others."""
    found = {side: _figures(data, side, rows) for side, rows in stage.probabilities.items()}
    short: dict[str, Any] = {str(side): {"accuracy": f.accuracy, "loss": f.loss, "n": f.n} for side, f in found.items()}
    return {**short, "seconds": stage.seconds, **stage.details}


def write_provenance(folder: Path, session: Session, outcome: Outcome) -> None:
    """Write `bundle.json`: what is needed to use the models, and where they come from."""
    kept, frozen, data, recipe = outcome.kept, outcome.kept.cut.frozen, session.data, session.recipe
    assert data is not None
    about = {
        "classes": list(data.classes),
        "decode": session.keeper.decode.to_dict(),
        "precision": frozen.runtime.identity.precision,
        "output": recipe.output,
        "head": kept.head.text,
        "runtime": asdict(frozen.runtime.identity),
        "recipe": recipe.to_dict(),
        "frozen_part": frozen.digest,
        "dataset": data.digest,
        "standardised": None if session.standardisation is None else asdict(session.standardisation),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }
    write_about(folder, about)


def _classify_in_f32(folder: Path, pictures: Labelled, recipe: DecodeRecipe) -> np.ndarray:
    frozen = OpenVINORuntime(folder / FROZEN, "f32", pixels=True)
    trainable = OpenVINORuntime(folder / TRAINABLE, "f32")
    rows = []
    for batch in in_batches(load_pictures(pictures.paths, recipe)):
        rows.append(trainable(*frozen(np.stack([_pixels(content) for _, content in batch])))[0])
    found = np.concatenate(rows)
    return of_both_classes(found) if found.shape[1] == 1 else found


def _pixels(content: np.ndarray | Quarantined) -> np.ndarray:
    if isinstance(content, Quarantined):
        raise HeadstartError(f"{content.path} has changed since the training began: {content.reason}")
    return content


def _count(weights: list[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
