"""split and join: a model in two halves at the frontier between frozen and trainable layers, and whole again.

    trainable(frozen(x)) == model(x), and join(split(model)) computes the same.

Everything that sits in the frozen half is computed once per picture and kept, so nothing may sit there that would
come out differently the next time: layers that are trained, that draw random numbers or that update their state
while training, and all that follows from them, are in the trainable half. What has no weights goes where it makes
the frontier smaller: average pooling after the last frozen layer belongs to the frozen half, pooling in a branch
beside trainable layers to the trainable one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from headstart.errors import SplitError
from headstart.models.graph import Call, Graph, Ref, play, trace
from headstart.models.layers import last_uses, makers

# Their state is set before training (by `adapt` or as arguments) and read during it.
_STATE_FIXED_IN_TRAINING = (keras.layers.Normalization, keras.layers.Discretization)
# These change in training whatever their `trainable` says.
_NEVER_FROZEN = (keras.layers.SpectralNormalization,)


@dataclass(frozen=True)
class Parts:
    """The two halves of a model. They share the model's weights: training one trains the model.

    Attributes:
        frozen: from the model's inputs to the frontier tensors.
        trainable: from the frontier tensors to the model's outputs.
    """

    frozen: keras.Model
    trainable: keras.Model

    @property
    def frontier(self) -> tuple[tuple[int | None, ...], ...]:
        """The shapes of the frontier tensors, without the batch dimension."""
        return tuple(tuple(tensor.shape[1:]) for tensor in self.frozen.outputs)


def split(model: keras.Model) -> Parts:
    """Cut a model at its frontier, as `layer.trainable` draws it.

    The model itself stays as it is. Layers of nested functional and sequential models become layers of the halves.

    Args:
        model: a functional or sequential model with any pattern of `layer.trainable`.

    Returns:
        The halves. If everything is trainable, the frozen half hands its inputs through; if everything is frozen,
        the trainable half does so with the outputs.

    Raises:
        SplitError: if the graph of the model cannot be read.
    """
    graph = trace(model)
    numbers, frontier = _cut(graph, _widths(model, graph))
    frozen = [graph.calls[number] for number in sorted(numbers)]
    rest = _calls_behind(graph, frontier)

    tensors: dict[Ref, Any] = dict(zip(graph.input_refs, _fresh_inputs(model.inputs), strict=True))
    inputs = _structure(graph.inputs, tensors)
    play(frozen, tensors)
    kept = [tensors[ref] for ref in frontier]
    frozen_part = keras.Model(inputs, _one_or_all(kept), name=f"{model.name}_frozen")

    received: dict[Ref, Any] = dict(zip(frontier, _frontier_inputs(kept, rest), strict=True))
    entries = [received[ref] for ref in frontier]
    play(rest, received)
    outputs = _structure(graph.outputs, received)
    return Parts(frozen_part, keras.Model(_one_or_all(entries), outputs, name=f"{model.name}_trainable"))


def join(parts: Parts, name: str | None = None) -> keras.Model:
    """One plain model that applies first the frozen, then the trainable half; the inverse of `split`.

    The result is flat: every layer of both halves is a layer of it. Weights are shared with the halves.

    Args:
        parts: halves that fit together; they need not come from the same model.
        name: of the new model.

    Raises:
        SplitError: if what the frozen half gives is not what the trainable half takes.
    """
    given = [tuple(tensor.shape) for tensor in parts.frozen.outputs]
    taken = [tuple(tensor.shape) for tensor in parts.trainable.inputs]
    if given != taken:
        raise SplitError(f"the halves do not fit: the frozen one gives {given}, the trainable one takes {taken}.")
    first, second = trace(parts.frozen, [parts.trainable]), trace(parts.trainable, [parts.frozen])
    tensors: dict[Ref, Any] = dict(zip(first.input_refs, _fresh_inputs(parts.frozen.inputs), strict=True))
    inputs = _structure(first.inputs, tensors)
    play(first.calls, tensors)
    handed_over = {ref: tensors[given] for ref, given in zip(second.input_refs, first.output_refs, strict=True)}
    play(second.calls, handed_over)
    return keras.Model(inputs, _structure(second.outputs, handed_over), name=name)


def fingerprint(model: keras.Model) -> str:
    """The digest of what a model computes: its graph, the configuration of its layers, its weights.

    Names play no part in it, nor does anything that only matters in training.

    Returns:
        40 hexadecimal digits.
    """
    graph = trace(model)
    digest = hashlib.blake2b(digest_size=20)
    operations = _unique_operations(graph)
    number = {id(operation): index for index, operation in enumerate(operations)}
    description = {
        "inputs": [[list(tensor.shape[1:]), str(tensor.dtype)] for tensor in model.inputs],
        "operations": [_describe(operation) for operation in operations],
        "calls": [
            [number[id(c.operation)], _numbered(c.args), _numbered(_without_mode(c.kwargs))] for c in graph.calls
        ],
        "outputs": [ref.index for ref in graph.output_refs],
    }
    digest.update(json.dumps(description, sort_keys=True, default=_plain).encode())
    for operation in operations:
        for weight in getattr(operation, "weights", ()):
            digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def bytes_per_picture(model: keras.Model) -> int:
    """What one picture's outputs of this model take in the store, in bytes; its input pixels count one byte each."""
    return sum(
        int(np.prod(tensor.shape[1:])) * (1 if any(tensor is given for given in model.inputs) else 4)
        for tensor in model.outputs
    )


@dataclass(frozen=True)
class LayerCost:
    """One layer of a backbone, and what a cut behind it would cost.

    Attributes:
        number: its place in `model.layers`.
        name: its name.
        type: its class.
        output_shape: without the batch dimension.
        parameters: how many it has.
        bytes_per_picture: size of the frontier if all layers up to and with this one were frozen and all others
            trained: every tensor that crosses, at four bytes a value, pixels at one.
    """

    number: int
    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int
    bytes_per_picture: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """What a cut behind each layer of a functional model would cost, in the order of `model.layers`."""
    graph = trace(model)
    widths = _widths(model, graph)
    made_at = makers(model, graph)
    last_use = last_uses(graph, made_at, beyond=len(model.layers))
    crossing = [
        sum(widths[ref] for ref in made_at if made_at[ref] <= number < last_use[ref])
        for number in range(len(model.layers))
    ]
    return [
        LayerCost(
            number,
            layer.name,
            type(layer).__name__,
            tuple(keras.tree.flatten(layer.output)[0].shape[1:]),
            layer.count_params(),
            crossing[number],
        )
        for number, layer in enumerate(model.layers)
    ]


def _cut(graph: Graph, widths: dict[Ref, int]) -> tuple[set[int], list[Ref]]:
    """The calls of the frozen half, by number, and the tensors that cross."""
    fixed: set[Ref] = set(graph.input_refs)
    frozen: set[int] = set()
    for number, call in enumerate(graph.calls):
        if fixed.issuperset(call.inputs) and _may_be_frozen(call):
            frozen.add(number)
            fixed.update(call.outputs)
    frozen = _narrow(graph, frozen, widths)
    frontier = _frontier(graph, frozen)
    return _needed_for(graph, frozen, frontier), frontier


def _narrow(graph: Graph, frozen: set[int], widths: dict[Ref, int]) -> set[int]:
    """Leave calls without weights to the trainable half as long as that makes the frontier smaller."""
    while True:
        frontier = _frontier(graph, frozen)
        width = sum(widths[ref] for ref in frontier)
        for number in sorted(frozen, reverse=True):
            call = graph.calls[number]
            if not set(call.outputs) & set(frontier) or getattr(call.operation, "weights", None):
                continue
            without = frozen - {number}
            if _consumed(graph, without, call.outputs):
                continue
            if sum(widths[ref] for ref in _frontier(graph, without)) < width:
                frozen = without
                break
        else:
            return frozen


def _consumed(graph: Graph, calls: set[int], refs: Sequence[Ref]) -> bool:
    return any(set(refs) & set(graph.calls[number].inputs) for number in calls)


def _calls_behind(graph: Graph, frontier: Sequence[Ref]) -> list[Call]:
    """The calls of the trainable half: all that the outputs need and that the frontier does not already give."""
    given = set(frontier)
    needed = set(graph.output_refs) - given
    behind: list[Call] = []
    for call in reversed(graph.calls):
        if needed & set(call.outputs):
            behind.append(call)
            needed.update(set(call.inputs) - given)
    return behind[::-1]


def _needed_for(graph: Graph, calls: set[int], wanted: Sequence[Ref]) -> set[int]:
    needed = set(wanted)
    kept: set[int] = set()
    for number in sorted(calls, reverse=True):
        call = graph.calls[number]
        if needed & set(call.outputs):
            kept.add(number)
            needed.update(call.inputs)
    return kept


def _frontier(graph: Graph, frozen: set[int]) -> list[Ref]:
    """Tensors that are there when the frozen calls are done and that something else needs, in the order they arise."""
    made = set(graph.input_refs)
    used = set(graph.output_refs)
    for number, call in enumerate(graph.calls):
        if number in frozen:
            made.update(call.outputs)
        else:
            used.update(call.inputs)
    return sorted(made & used, key=lambda ref: ref.index)


def _widths(model: keras.Model, graph: Graph) -> dict[Ref, int]:
    """The bytes that each tensor takes per picture; an unknown side counts as one."""
    widths = {ref: _values(tensor.shape) for ref, tensor in zip(graph.input_refs, model.inputs, strict=True)}
    for call in graph.calls:
        for ref, tensor in zip(call.outputs, keras.tree.flatten(call.operation.output), strict=True):
            widths[ref] = 4 * _values(tensor.shape)
    return widths


def _values(shape: Sequence[int | None]) -> int:
    return int(np.prod([side or 1 for side in shape[1:]]))


def _may_be_frozen(call: Call) -> bool:
    operation = call.operation
    if not isinstance(operation, keras.layers.Layer):
        return True  # operations of keras.ops have no weights, no state and no randomness
    if operation.trainable_variables or getattr(operation, "stateful", False):
        return False
    return not any(_is_random(layer) or _updates_state(layer) for layer in _with_inner_layers(operation))


def _is_random(layer: keras.layers.Layer) -> bool:
    """Whether the layer draws random numbers in training.

    That it was called with `training=False` does not matter: `fit` overrides it in Keras 3.
    """
    if getattr(layer, "rate", None) == 0:
        return False  # dropout that drops nothing
    return any(isinstance(value, keras.random.SeedGenerator) for value in vars(layer).values())


def _updates_state(layer: keras.layers.Layer) -> bool:
    """Whether training changes variables of the layer that are not trained, as BatchNormalization's statistics."""
    if isinstance(layer, _NEVER_FROZEN):
        return True
    return layer.trainable and bool(layer.non_trainable_variables) and not isinstance(layer, _STATE_FIXED_IN_TRAINING)


def _with_inner_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    seen: set[int] = set()
    waiting = [layer]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        for value in vars(current).values():
            values = value if isinstance(value, list | tuple) else [value]
            waiting += [inner for inner in values if isinstance(inner, keras.layers.Layer)]


def _fresh_inputs(tensors: Sequence[Any]) -> list[Any]:
    return [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in tensors]


def _frontier_inputs(tensors: Sequence[Any], calls: Sequence[Call]) -> list[Any]:
    taken = {call.operation.name for call in calls}
    names = [f"frontier_{i}" if len(tensors) > 1 else "frontier" for i in range(len(tensors))]
    return [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{name}_input" if name in taken else name)
        for tensor, name in zip(tensors, names, strict=True)
    ]


def _structure(refs: Any, tensors: dict[Ref, Any]) -> Any:
    if isinstance(refs, Ref):
        return tensors[refs]
    if isinstance(refs, dict):
        return {name: _structure(value, tensors) for name, value in refs.items()}
    return [_structure(value, tensors) for value in refs]


def _one_or_all(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _describe(operation: Any) -> list[Any]:
    serialised = keras.saving.serialize_keras_object(operation)
    return [
        serialised["module"],
        serialised["class_name"],
        serialised.get("registered_name"),
        _without_training_matters(serialised["config"]),
    ]


def _without_mode(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if value is not None and name != "training"}


def _plain(value: Any) -> Any:
    """What JSON does not know among the arguments of a call: indices, and constants by type, shape and content."""
    if value is Ellipsis or isinstance(value, slice):
        return repr(value)
    array = np.asarray(keras.ops.convert_to_numpy(value))
    if array.dtype.hasobject:
        raise SplitError(f"{value!r} among the arguments of a layer's call cannot be told from others like it.")
    content = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=20).hexdigest()
    return [str(array.dtype), list(array.shape), content]


def _without_training_matters(config: Any) -> Any:
    """A layer's configuration without names and without what only matters before or during training."""
    ignored = ("name", "trainable", "seed", "build_config", "shared_object_id")
    endings = ("_initializer", "_regularizer", "_constraint", "momentum")
    if isinstance(config, dict):
        return {
            key: _without_training_matters(value)
            for key, value in config.items()
            if key not in ignored and not key.endswith(endings)
        }
    if isinstance(config, list | tuple):
        return [_without_training_matters(value) for value in config]
    return config


def _numbered(structure: Any) -> Any:
    if isinstance(structure, Ref):
        return {"tensor": structure.index}
    if isinstance(structure, dict):
        return {name: _numbered(value) for name, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_numbered(value) for value in structure]
    return structure


def _unique_operations(graph: Graph) -> list[Any]:
    return list({id(call.operation): call.operation for call in graph.calls}.values())
