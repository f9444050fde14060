"""Which training, when: each strategy takes the halves of a model and leaves the trainable one trained."""

from dataclasses import dataclass, field
from typing import Any

import keras

from headstart.features.extract import Extraction
from headstart.images.dataset import Labelled
from headstart.models.cut import Parts
from headstart.models.heads import CLASSIFIER
from headstart.progress import bar
from headstart.recipe import Recipe, parse_head
from headstart.training.fit import FeatureBatches, fit
from headstart.training.solve import STRENGTHS, solve_linear


@dataclass(frozen=True)
class Trained:
    """What a strategy did.

    Attributes:
        history: one row per epoch, or per strength tried where the head was solved.
        chosen_on_val: whether the validation pictures decided anything, so that their figures are not clean.
        details: what a person may want to know of how it was done.
    """

    history: list[dict[str, float]]
    chosen_on_val: bool
    details: dict[str, Any] = field(default_factory=dict)


def train_head(
    parts: Parts, features: Extraction, train: Labelled, val: Labelled, recipe: Recipe, show: bool
) -> Trained:
    """Train a new head on the features of a frozen backbone: a linear one is solved, any other one fitted.

    Args:
        parts: halves of the model; the trainable one is the head, and its weights are changed.
        features: where the pictures' features are.
        train: what is learned from.
        val: what decides when a fitted head stops.
        recipe: head, epochs, seed.
        show: whether to draw a progress bar.
    """
    if parse_head(recipe.head).is_linear:
        return _solve(parts, features, train, recipe, show)
    with bar("training the head", recipe.epochs, "epochs", show) as advance:
        history = fit(
            parts.trainable,
            FeatureBatches(features, train.paths, train.labels, recipe.seed),
            FeatureBatches(features, val.paths, val.labels, None),
            recipe.epochs,
            advance,
        )
    best = min(history, key=lambda row: row["val_loss"])
    return Trained(history, chosen_on_val=True, details={"best_epoch": int(best["epoch"])})


def _solve(parts: Parts, features: Extraction, train: Labelled, recipe: Recipe, show: bool) -> Trained:
    classifier: keras.layers.Dense = parts.trainable.get_layer(CLASSIFIER)
    with bar("solving the head", len(STRENGTHS), "strengths", show) as advance:
        (vectors,) = features.read(train.paths)
        solution = solve_linear(vectors, train.labels, classifier.units, recipe.seed, advance)
    classifier.set_weights([solution.kernel, solution.bias])
    history = [{"C": c, "cross_validated_loss": loss} for c, loss in solution.cross_validated.items()]
    return Trained(history, chosen_on_val=False, details={"C": solution.strength})
