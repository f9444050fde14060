"""What a training hands over: the models written down, loaded again and compared, the figures, the tables."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headstart.bundle import FROZEN, MODEL, TRAINABLE, write_about, write_csv, write_json
from headstart.errors import HeadstartError
from headstart.evaluation.evaluate import Figures, figures
from headstart.features.convert import FrozenRuntime, export_openvino
from headstart.features.extract import Extraction, in_batches, load_pictures
from headstart.features.runtime import KerasRuntime, OpenVINORuntime, Runtime
from headstart.images.dataset import Dataset, Labelled
from headstart.images.decode import DecodeRecipe
from headstart.images.sources import Quarantined, Side
from headstart.models.cut import Parts
from headstart.recipe import Recipe
from headstart.training.fit import FeatureBatches
from headstart.training.strategies import Trained

SAVED_TOLERANCE = 2e-3
"""The largest difference of a probability between what was reported and what the saved model says, both in f32."""

CHECKED_PICTURES = 8
_COLUMNS = ("path", "side", "label", "predicted", "probability")
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


def predict_from_features(trainable: Runtime, features: Extraction, pictures: Labelled) -> np.ndarray:
    """The probabilities that a trainable half gives for pictures whose features are kept: `(pictures, classes)`."""
    batches = FeatureBatches(features, pictures.paths, pictures.labels, None)
    rows = []
    for number in range(len(batches)):
        given, _ = batches[number]
        rows.append(trainable(*(given if isinstance(given, tuple) else (given,)))[0])
    return np.concatenate(rows)


def write_models(folder: Path, model: keras.Model, parts: Parts, runtime: FrozenRuntime) -> None:
    """Write the model for Keras, and its halves for OpenVINO where that runs the frozen one."""
    model.save(folder / MODEL)
    if runtime.converted is None:
        return
    (folder / FROZEN).parent.mkdir()
    for suffix in (".xml", ".bin"):
        shutil.copyfile(runtime.converted.with_suffix(suffix), (folder / FROZEN).with_suffix(suffix))
    export_openvino(parts.trainable, folder / TRAINABLE)


def check_models(
    folder: Path, pictures: Labelled, reported: np.ndarray, recipe: DecodeRecipe, runtime: FrozenRuntime
) -> dict[str, float]:
    """Load what was written and compare it with what was reported.

    The model for Keras is loaded as a stranger would load it and run on a few pictures. Where the frozen half ran
    in bf16, the pictures are all classified once more in f32, which is what Keras computes in.

    Args:
        folder: where the models are.
        pictures: the validation pictures.
        reported: their probabilities.
        recipe: how pictures are decoded.
        runtime: what computed the features.

    Returns:
        Figures of the model as Keras runs it, where they can differ from those reported; else nothing.

    Raises:
        HeadstartError: if the saved model says something else.
    """
    expected, extra = reported, {}
    if runtime.identity.precision != "f32":
        expected = _classify_in_f32(folder, pictures, recipe)
        in_f32 = figures(expected, pictures.labels, [str(i) for i in range(expected.shape[1])])
        extra = {"accuracy_f32": in_f32.accuracy, "loss_f32": in_f32.loss}
    chosen = np.unique(np.linspace(0, len(pictures.paths) - 1, CHECKED_PICTURES).astype(int))
    pixels = [_pixels(content) for _, content in load_pictures([pictures.paths[i] for i in chosen], recipe)]
    saved = keras.saving.load_model(folder / MODEL, safe_mode=True)
    found = KerasRuntime(saved, len(pixels), traced=False)(np.stack(pixels))[0]
    difference = float(np.max(np.abs(found - expected[chosen])))
    if not difference <= SAVED_TOLERANCE:
        raise HeadstartError(
            f"the saved model differs from what was trained by {difference:.2g} in a probability "
            f"(at most {SAVED_TOLERANCE:g} is rounding), so no RUN was written. Please report this backbone."
        )
    return extra


def write_tables(
    folder: Path,
    data: Dataset,
    trained: Trained,
    quarantined: list[Quarantined],
    probabilities: Mapping[Side, np.ndarray],
) -> None:
    """Write `splits.csv`, `history.csv`, `quarantine.csv` and `predictions.csv`."""
    write_csv(
        folder / "splits.csv",
        ("path", "label", "side", "digest"),
        ((e.picture.name, e.picture.label, e.side, e.digest) for e in data.examples),
    )
    columns = list(trained.history[0]) if trained.history else []
    write_csv(folder / "history.csv", columns, ([row[name] for name in columns] for row in trained.history))
    write_csv(folder / "quarantine.csv", ("path", "reason"), ((q.path, q.reason) for q in quarantined))
    write_csv(
        folder / "predictions.csv",
        (*_COLUMNS, *(f"class {name}" if name in _COLUMNS else name for name in data.classes)),
        (
            (e.picture.name, side, e.picture.label, data.classes[row.argmax()], row.max(), *row)
            for side, rows in probabilities.items()
            for e, row in zip(data.side(side).examples, rows.astype(float), strict=True)
        ),
    )


def write_metrics(
    folder: Path,
    recipe: Recipe,
    model: keras.Model,
    features: Extraction,
    data: Dataset,
    results: Mapping[Side, Figures],
    trained: Trained,
    skipped: Sequence[Quarantined],
    more: Mapping[str, Any],
) -> None:
    """Write `metrics.json`: the figures on the validation pictures, and what they cost."""
    val = results["val"]
    content = {
        "accuracy": val.accuracy,
        "loss": val.loss,
        "n": val.n,
        "chosen_on_these_pictures": trained.chosen_on_val,
        "strategy": recipe.strategy,
        "backbone": recipe.backbone,
        "head": recipe.head,
        "pictures": len(features.digests) + len(features.quarantined) + len(skipped),
        "extracted": features.extracted,
        "reused": features.reused,
        "quarantined": len(features.quarantined) + len(skipped),
        "duplicates_across_sides": len(data.across_sides),
        "classes": list(val.per_class),
        "trainable_params": _count(model.trainable_weights),
        "non_trainable_params": _count(model.non_trainable_weights),
        **more,
        **trained.details,
        "per_class": val.to_dict()["per_class"],
        "confusion": val.confusion,
    }
    if "test" in results:
        content["test"] = results["test"].to_dict()
    write_json(folder / "metrics.json", content)


def write_provenance(
    folder: Path, recipe: Recipe, data: Dataset, decode: DecodeRecipe, runtime: FrozenRuntime, fingerprint: str
) -> None:
    """Write `bundle.json`: what is needed to use the models, and where they come from."""
    about = {
        "classes": list(data.classes),
        "decode": decode.to_dict(),
        "precision": runtime.identity.precision,
        "runtime": asdict(runtime.identity),
        "recipe": recipe.to_dict(),
        "frozen_part": fingerprint,
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
    return np.concatenate(rows)


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
