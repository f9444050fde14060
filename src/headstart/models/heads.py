"""Heads: what turns a backbone's features into one probability per class."""

from typing import Any

import keras

from headstart.recipe import HeadSpec

CLASSIFIER = "classifier"
"""The name of the last layer of every head."""


def add_head(features: Any, spec: HeadSpec, classes: int) -> Any:
    """Put a head on feature maps: average pooling, the layers of `spec`, a softmax classifier.

    Args:
        features: KerasTensor `(batch, rows, columns, width)`.
        spec: the layers in between.
        classes: how many classes there are.

    Returns:
        KerasTensor `(batch, classes)` of probabilities.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(features)
    for number, layer in enumerate(spec.layers, start=1):
        if layer.kind == "dense":
            name = f"head_dense_{number}"
            x = keras.layers.Dense(int(layer.amount), "relu", kernel_initializer="he_normal", name=name)(x)
        else:
            x = keras.layers.Dropout(layer.amount, name=f"head_dropout_{number}")(x)
    return keras.layers.Dense(classes, "softmax", dtype="float32", name=CLASSIFIER)(x)
