"""RUNs that nobody trained: small networks with random weights, written down as a training writes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headstart.bundle import Run
from headstart.run_files import FROZEN, MODEL, TRAINABLE, write_about

SIZE = 32


def pixels(count: int, size: int = SIZE) -> np.ndarray:
    """Pictures with something in them, uint8 `(count, size, size, 3)`."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 255, (count, 4, 4, 3), np.uint8)
    return np.repeat(np.repeat(coarse, size // 4, 1), size // 4, 2)


def build(classifier, squeeze: bool = False):
    """A small network: pixels, three convolutions to 4x4 maps of 12 channels, and what `classifier` makes of these."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    shown = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1, name="preprocess")(shown)
    for number, width in enumerate((6, 10, 12)):
        x = layers.Conv2D(width, 3, 2, "same", activation="relu", bias_initializer="normal", name=f"conv_{number}")(x)
    if squeeze:
        weights = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
        flat = layers.Dense(12, "sigmoid", name="excite")(layers.GlobalAveragePooling2D(name="squeeze_flat")(x))
        x = layers.Multiply(name="excited")(
            [x, layers.Dense(12, "sigmoid", name="excite_map")(weights), flat[:, None, None]]
        )
    return keras.Model(shown, classifier(x), name="small")


def averaged(x, classes: int = 2, output: str = "softmax"):
    """An average and a linear classifier."""
    from keras import layers

    units = 1 if output == "sigmoid" else classes
    pooled = layers.GlobalAveragePooling2D(name="pooled")(x)
    return layers.Dense(units, output, bias_initializer="normal", name="classifier")(pooled)


def write_run(
    folder: Path, model, trained_from: str, output: str = "softmax", runtime: bool = True, recipe: dict | None = None
) -> Run:
    """Write a network as a RUN, with what lies before a layer frozen."""
    from headstart.features.convert import export_openvino
    from headstart.models.cut import join, split

    names = [layer.name for layer in model.layers]
    for number, layer in enumerate(model.layers):
        layer.trainable = number >= names.index(trained_from)
    parts = split(model)
    (folder / "runtime").mkdir(parents=True)
    join(parts).save(folder / MODEL)
    if runtime:
        if len(parts.frozen.layers) > 1:
            export_openvino(parts.frozen, folder / FROZEN)
        export_openvino(parts.trainable, folder / TRAINABLE)
    classes = 2 if output == "sigmoid" else model.outputs[0].shape[-1]
    about = {
        "classes": [f"class {number}" for number in range(classes)],
        "decode": {"height": SIZE, "width": SIZE, "fit": "crop"},
        "precision": "f32",
        "output": output,
        "head": "linear",
        "runtime": {},
        "recipe": {"backbone": "small", **(recipe or {})},
    }
    write_about(folder, about)
    return Run(folder)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Run]:
    """`write_run` into a new folder: `write(model, trained_from="classifier")`."""
    return lambda *args, at="run", **options: write_run(tmp_path / at, *args, **options)
