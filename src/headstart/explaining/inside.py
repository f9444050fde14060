"""The network of a RUN opened up: its layers by name or number, and the maps that they give."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headstart.bundle import Run
from headstart.errors import RecipeError
from headstart.features.convert import export_openvino
from headstart.features.runtime import BATCH, OPENVINO, KerasRuntime, OpenVINORuntime, Runtime
from headstart.models.layers import number_among

_BEFORE_THE_BACKBONE = ("preprocess", "standardise")


class Inside:
    """A RUN's network, for whoever wants to see what its layers give.

    Layers are numbered as `headstart layers` does it: 0 is the picture, then come those of the backbone, then those of
    the head. What pixels go through before the backbone has no number.

    Args:
        run: the RUN.

    Attributes:
        model: the whole classifier.
        layers: its layers, by number.

    Raises:
        MissingExtraError: if Keras is not installed.
    """

    def __init__(self, run: Run):
        self.model = run.model
        self.layers = [layer for layer in self.model.layers if not layer.name.endswith(_BEFORE_THE_BACKBONE)]
        self._backbone = str(run.about["recipe"]["backbone"])

    def with_maps(self) -> list[Any]:
        """The layers that give maps `(batch, rows, columns, channels)` of more than one place, in order."""
        return [layer for layer in self.layers if _gives_maps(layer)]

    def layer(self, place: str | None) -> Any:
        """Find a layer that gives a map.

        Args:
            place: its name or number, negative numbers counting from the end; None for the last one.

        Raises:
            RecipeError: if there is none.
        """
        last = self.with_maps()[-1]
        if place is None:
            return last
        names = [layer.name for layer in self.layers]
        layer = self.layers[number_among(names, place, self._backbone, f"layer {place!r}")]
        if not _gives_maps(layer):
            shape = "x".join(map(str, keras.tree.flatten(layer.output)[0].shape[1:]))
            raise RecipeError(
                [f"layer {place!r}: {layer.name} gives {shape}, which is no map; the last map is {last.name}'s."]
            )
        return layer

    def giving(self, layers: Sequence[Any], pictures: int, with_probabilities: bool = False) -> Runtime:
        """What turns pixels, uint8 `(n, height, width, 3)`, into the outputs of layers, float32.

        Args:
            layers: which.
            pictures: how many it will be shown.
            with_probabilities: whether the model's own output comes last.
        """
        outputs = [layer.output for layer in layers]
        outputs += [self.model.output] if with_probabilities else []
        model = keras.Model(self.model.input, outputs)
        if keras.config.backend() != OPENVINO:
            return KerasRuntime(model, few=pictures <= BATCH)
        with tempfile.TemporaryDirectory(prefix="headstart-") as folder:  # else it would be compiled for every batch
            file = Path(folder) / "inside.xml"
            export_openvino(model, file)
            return OpenVINORuntime(file, at_most=min(pictures, BATCH), pixels=True)


def _gives_maps(layer: Any) -> bool:
    if isinstance(layer, keras.layers.InputLayer):
        return False
    outputs = keras.tree.flatten(layer.output)
    return len(outputs) == 1 and len(outputs[0].shape) == 4 and max(outputs[0].shape[1:3]) > 1


def scaled(maps: np.ndarray) -> np.ndarray:
    """Maps of what speaks for something: nothing below zero, the most of each being 1.

    Args:
        maps: `(n, rows, columns)`.

    Returns:
        float32; a map without anything above zero is all zeros.
    """
    positive = np.maximum(maps, 0)
    most = positive.max((1, 2), keepdims=True)
    return np.asarray(positive / np.where(most > 0, most, 1), np.float32)


def neighbourhoods(maps: np.ndarray) -> np.ndarray:
    """The average of every place and those around it, 3x3, the edges being repeated: what is there, without noise.

    Args:
        maps: `(n, rows, columns, channels)`.

    Returns:
        The same shape.
    """
    rows = np.pad(maps, ((0, 0), (1, 1), (0, 0), (0, 0)), "edge")
    rows = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    columns = np.pad(rows, ((0, 0), (0, 0), (1, 1), (0, 0)), "edge")
    return np.asarray((columns[:, :, :-2] + columns[:, :, 1:-1] + columns[:, :, 2:]) / 9)
