"""What is minimised: loss, targets, metric and weights, as the recipe says."""

from dataclasses import dataclass

import keras
import numpy as np

from headstart.recipe import Recipe
from headstart.specs import MIXING, parse_ops


@dataclass(frozen=True)
class Objective:
    """A loss with the form of targets that it takes.

    Attributes:
        loss: of Keras.
        metric: called `accuracy`.
        one_hot: whether targets are float32 `(pictures, classes)`.
        single: whether targets are float32 `(pictures, 1)` for one sigmoid unit; else they are integer `(pictures,)`.
        classes: how many there are.
    """

    loss: keras.losses.Loss
    metric: keras.metrics.Metric
    one_hot: bool
    single: bool
    classes: int

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Class numbers, integer `(pictures,)`, in the form that the loss takes."""
        if self.single:
            return labels.astype(np.float32)[:, None]
        return np.eye(self.classes, dtype=np.float32)[labels] if self.one_hot else labels


def make_objective(recipe: Recipe, classes: int) -> Objective:
    """The loss that the recipe asks for.

    Label smoothing, mixup and cutmix need one-hot targets, so with them the sparse loss becomes the categorical one,
    which is the same otherwise. The binary loss on a softmax counts every class as a question of its own.
    """
    smoothing = recipe.label_smoothing
    if recipe.output == "sigmoid":
        binary = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
        return Objective(binary, keras.metrics.BinaryAccuracy("accuracy"), False, True, classes)
    mixed = any(op.kind in MIXING for op in parse_ops(recipe.augmentations))
    if recipe.loss == "binary" or recipe.loss == "categorical" or smoothing or mixed:
        kind = keras.losses.BinaryCrossentropy if recipe.loss == "binary" else keras.losses.CategoricalCrossentropy
        one_hot = kind(label_smoothing=smoothing)
        return Objective(one_hot, keras.metrics.CategoricalAccuracy("accuracy"), True, False, classes)
    sparse = keras.losses.SparseCategoricalCrossentropy()
    return Objective(sparse, keras.metrics.SparseCategoricalAccuracy("accuracy"), False, False, classes)


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """How much each picture counts so that every class that occurs counts the same: float32 `(pictures,)`, mean 1."""
    counts = np.bincount(labels, minlength=classes)
    share = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weights: np.ndarray = share[labels].astype(np.float32)
    return weights
