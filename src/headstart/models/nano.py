"""nano: the backbone in the box, a residual network of a million parameters whose weights come with the package.

Its recipe is `tools/pretrain/`, its model card `docs/nano.md`. It is built as the networks of `keras.applications` are.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors.numpy import load_file, save_file

from headstart.errors import RecipeError

SIZE = 112
"""Rows and columns of the pictures that it does best on."""

STRIDE = 16
"""Rows of a picture for each row of the last feature map."""

WEIGHTS = Path(__file__).with_name("nano.safetensors")
"""The packaged weights, in float16."""

_STEM = (24, 48)
_STAGES = ((48, 32, 1), (112, 64, 1), (224, 96, 3))  # width, width inside its blocks, blocks
_WIDTH = 640


def Nano(  # noqa: N802 - as the constructors of keras.applications
    include_top: bool = False, weights: str | None = "imagenet", input_shape: tuple[int, int, int] = (SIZE, SIZE, 3)
) -> keras.Model:
    """Build the network.

    Two convolutions of stride 2, then three stages of residual blocks (He et al., arXiv 1512.03385) of dense 3x3
    convolutions, of which a processor computes many times more in a second than of depthwise ones; the last stage has
    bottlenecks. Batch normalisation and ReLU behind each convolution.

    Args:
        include_top: must be False: it has no classifier of its own.
        weights: `imagenet` for those in the package, which have seen 202 classes of ImageNet at 64 px, or None for
            random ones.
        input_shape: of the pictures; rows and columns at least 32.

    Returns:
        A functional model from preprocessed pictures float32 `(batch, rows, columns, 3)` to features
        `(batch, rows / 16, columns / 16, 640)`, not negative.

    Raises:
        RecipeError: if it is asked for its top.
        ValueError: if the pictures are too small.
    """
    if include_top:
        raise RecipeError(["nano has no classifier of its own; choose another backbone."])
    if min(side or STRIDE * 2 for side in input_shape[:2]) < STRIDE * 2:
        raise ValueError(f"input_shape must be at least {STRIDE * 2}x{STRIDE * 2}, not {input_shape}")
    pixels = keras.Input(input_shape)
    x = pixels
    for number, width in enumerate(_STEM, start=1):
        x = _convolve(x, width, 3, f"stem_{number}", strides=2)
    for number, (width, inside, blocks) in enumerate(_STAGES, start=1):
        if number > 1:
            x = _convolve(x, width, 3, f"stage_{number}_down", strides=2)
        block = _basic if number < len(_STAGES) else _bottleneck
        for place in range(1, blocks + 1):
            x = block(x, width, inside, f"stage_{number}_block_{place}")
    model = keras.Model(pixels, _convolve(x, _WIDTH, 1, "features"), name="nano")
    if weights is not None:
        load_weights(model, WEIGHTS)
    return model


def preprocess_input(pixels: Any) -> Any:
    """Scale pixels from 0-255 to -1..1, as the networks of `keras.applications` with this name do."""
    return pixels / 127.5 - 1.0


def save_weights(model: keras.Model, file: Path) -> None:
    """Write the weights of a network in float16, each as LAYER/VARIABLE."""
    save_file({name: np.asarray(value, np.float16) for name, value in _named(model).items()}, file)


def load_weights(model: keras.Model, file: Path) -> None:
    """Give a network its weights from a file that `save_weights` wrote; they become float32."""
    stored = load_file(file)
    for name, variable in _named(model).items():
        variable.assign(stored[name].astype(np.float32))


def _named(model: keras.Model) -> dict[str, Any]:
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}


def _convolve(x: Any, width: int, side: int, name: str, strides: int = 1, relu: bool = True) -> Any:
    x = keras.layers.Conv2D(
        width, side, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _basic(x: Any, width: int, inside: int, name: str) -> Any:
    y = _convolve(x, inside, 3, f"{name}_1")
    return _add(x, _convolve(y, width, 3, f"{name}_2", relu=False), name)


def _bottleneck(x: Any, width: int, inside: int, name: str) -> Any:
    y = _convolve(x, inside, 1, f"{name}_1")
    y = _convolve(y, inside, 3, f"{name}_2")
    return _add(x, _convolve(y, width, 1, f"{name}_3", relu=False), name)


def _add(x: Any, y: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_out")(keras.layers.Add(name=f"{name}_add")([x, y]))
