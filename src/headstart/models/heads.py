"""Heads: what turns the features of one or several networks into one probability per class."""

from collections.abc import Sequence
from typing import Any

import keras

from headstart.errors import RecipeError
from headstart.recipe import Output
from headstart.specs import HeadLayer, HeadSpec

CLASSIFIER = "classifier"
"""The name of the last layer of every head."""

LANDMARKS = "landmarks"
"""The name of the layer of a kernel head that compares with the landmarks."""

_HE = "he_normal"


def add_head(features: Sequence[Any], spec: HeadSpec, classes: int, output: Output = "softmax") -> Any:
    """Put a head on features. Feature maps are average-pooled, or flattened where the head says so.

    The layers are named by what they are and their place in the head, as `head_conv_1`, `head_dense_2`, so that those
    of two models can be matched. All kernels begin He-normal.

    Args:
        features: one KerasTensor for each network, `(batch, rows, columns, width)` or `(batch, width)`.
        spec: what comes before the classifier. `auto` is built as linear. A kernel head is unit vectors, their
            similarity with landmarks, `exp(2 gamma (x . landmark - 1))` once `gamma` and `landmark` are in its weights,
            and a linear classifier: the random features of Williams and Seeger's Nystroem method (NIPS 2000).
        classes: how many classes there are.
        output: `softmax`, or for two classes one `sigmoid` unit, the probability of the second one.

    Returns:
        KerasTensor float32 of probabilities, `(batch, classes)`, or `(batch, 1)` for sigmoid.

    Raises:
        RecipeError: if the head does not fit the features or the classes.
    """
    _check(features, spec, classes, output)
    maps = [layer for layer in spec.layers if layer.kind in ("conv", "flatten")]
    x = _flat(features[0], maps) if maps else _pooled(features)
    if spec.kind == "kernel":
        x = keras.layers.UnitNormalization(name="unit")(x)
        x = keras.layers.Dense(spec.landmarks, "exponential", kernel_initializer=_HE, name=LANDMARKS)(x)
    for number, layer in enumerate(spec.layers[len(maps) :], start=len(maps) + 1):
        x = _on_vectors(x, layer, number)
    units, activation = (1, "sigmoid") if output == "sigmoid" else (classes, "softmax")
    return keras.layers.Dense(units, activation, kernel_initializer=_HE, dtype="float32", name=CLASSIFIER)(x)


def _check(features: Sequence[Any], spec: HeadSpec, classes: int, output: Output) -> None:
    needs_maps = any(layer.kind in ("conv", "flatten") for layer in spec.layers)
    shapes = [tuple(tensor.shape[1:]) for tensor in features]
    problems = []
    if output == "sigmoid" and classes != 2:
        problems.append(f"output sigmoid tells two classes apart; there are {classes}. Leave it out for softmax.")
    if needs_maps and len(features) > 1:
        problems.append(
            f"head {spec.text!r} takes the maps of one backbone; those of {len(features)} are pooled first."
        )
    elif needs_maps and len(shapes[0]) != 3:
        problems.append(
            f"head {spec.text!r} takes feature maps; the network ends in a vector of {shapes[0][-1]} values."
        )
    if problems:
        raise RecipeError(problems)


def _flat(x: Any, layers: Sequence[HeadLayer]) -> Any:
    """Convolutions on feature maps, and a vector from what they give."""
    for number, layer in enumerate(layers, start=1):
        if layer.kind == "flatten":
            return keras.layers.Flatten(name=f"head_flatten_{number}")(x)
        name = f"head_conv_{number}"
        x = keras.layers.Conv2D(int(layer.amount), 1, kernel_initializer=_HE, name=name)(x)
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return _pooled([x])


def _pooled(features: Sequence[Any]) -> Any:
    """One vector from all networks: the averages of their maps, side by side."""
    names = [f"pooled_{number}" if len(features) > 1 else "pooled" for number in range(1, len(features) + 1)]
    vectors = [
        keras.layers.GlobalAveragePooling2D(name=name)(x) if len(x.shape) == 4 else x
        for x, name in zip(features, names, strict=True)
    ]
    return keras.layers.Concatenate(name="fused")(vectors) if len(vectors) > 1 else vectors[0]


def _on_vectors(x: Any, layer: HeadLayer, number: int) -> Any:
    if layer.kind == "dense":
        name = f"head_dense_{number}"
        return keras.layers.Dense(int(layer.amount), "relu", kernel_initializer=_HE, name=name)(x)
    return keras.layers.Dropout(layer.amount, name=f"head_dropout_{number}")(x)
