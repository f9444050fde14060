"""How much of a picture a place of a layer's map is computed from."""

from dataclasses import dataclass
from typing import Any

import keras

from headstart.models.graph import Ref, trace


@dataclass(frozen=True)
class Field:
    """The receptive field of a layer, in pixels of the picture.

    Attributes:
        size: rows and columns that one place is computed from, had the picture no edges. Averages over whole maps, as
            in squeeze-and-excitation, are not counted: they weigh channels and look nowhere in particular.
        stride: rows and columns from one place to the next.
    """

    size: int
    stride: int


def receptive_field(model: keras.Model, layer: Any) -> Field:
    """The receptive field of a layer of a functional model, by the arithmetic of kernels and strides.

    Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks (Distill 2019).

    Raises:
        KeyError: if the model does not have the layer.
    """
    graph = trace(model)
    fields: dict[Ref, Field] = dict.fromkeys(graph.input_refs, Field(1, 1))
    for call in graph.calls:
        given = [fields[ref] for ref in call.inputs]
        size, stride = max(f.size for f in given), max(f.stride for f in given)
        kernel, step = _kernel_and_stride(call.operation)
        found = Field(size + (kernel - 1) * stride, stride * step)
        fields.update(dict.fromkeys(call.outputs, found))
        if call.operation is layer:
            return found
    raise KeyError(layer.name)


def _kernel_and_stride(operation: Any) -> tuple[int, int]:
    """Of rows; one and one for what does not look around itself."""
    kernel = _first(getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None))
    dilation = _first(getattr(operation, "dilation_rate", None))
    return (kernel - 1) * dilation + 1, _first(getattr(operation, "strides", None))


def _first(sides: Any) -> int:
    if sides is None:
        return 1
    return int(sides[0] if isinstance(sides, list | tuple) else sides)
