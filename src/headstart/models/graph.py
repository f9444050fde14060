"""A functional model as a list of calls, read from its configuration and played again on other tensors.

Keras keeps the graph of a model in private attributes; its configuration (`get_config`) says the same in public.
Nested functional and sequential models are entered, so that the list is flat and a cut may lie inside them.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import keras

from headstart.errors import SplitError

_FUNCTIONAL = type(keras.Model(_any := keras.Input((1,)), _any))  # Keras has no public name for it


@dataclass(frozen=True)
class Ref:
    """A tensor of the graph.

    Attributes:
        index: its number; tensors are numbered in the order they are produced, the inputs first.
    """

    index: int


@dataclass(frozen=True)
class Call:
    """One application of a layer or operation.

    Attributes:
        operation: what is applied; the model's own object, so its weights are shared.
        args: positional arguments, `Ref` where a tensor goes.
        kwargs: keyword arguments, `Ref` where a tensor goes.
        inputs: the tensors among the arguments.
        outputs: the tensors produced.
        training: the mode that a nested model around this call was told to run in; None where it was told nothing.
            Keras heeds it only while its own caller says nothing: `fit` and `predict` override it.
    """

    operation: Any
    args: Any
    kwargs: dict[str, Any]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    training: bool | None


@dataclass(frozen=True)
class Graph:
    """A model's calls in an order in which they can be run.

    Attributes:
        inputs: the tensors that come from outside, in the structure the model takes them in.
        calls: everything that is applied.
        outputs: the model's outputs, in the structure the model returns them in, `Ref` for tensors.
    """

    inputs: Any
    calls: tuple[Call, ...]
    outputs: Any

    @property
    def input_refs(self) -> tuple[Ref, ...]:
        """The inputs as a flat sequence."""
        return tuple(_refs(self.inputs))

    @property
    def output_refs(self) -> tuple[Ref, ...]:
        """The outputs as a flat sequence."""
        return tuple(_refs(self.outputs))


def trace(model: keras.Model, beside: Sequence[keras.Model] = ()) -> Graph:
    """Read the graph of a functional or sequential model.

    Args:
        model: the model.
        beside: other models whose calls will end up in one model with these, where names must not clash either.

    Raises:
        SplitError: if the model, as a subclass of `keras.Model`, hides its graph in Python code, or is not built.
    """
    if not _has_graph(model):
        raise SplitError(
            f"{model.name!r} is a {type(model).__name__}, whose graph cannot be read. "
            "Only functional and sequential models can be split; build the model from keras.Input."
        )
    if not model.built or not model.inputs:
        raise SplitError(f"{model.name!r} is not built. Give it a keras.Input, or call it once.")
    tracer = _Tracer(_names_that_clash((model, *beside)))
    given = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(lambda _: tracer.new_ref(), given)
    outputs = tracer.trace(model, tuple(_refs(inputs)), None)
    return Graph(inputs, tuple(tracer.calls), outputs)


def play(calls: Sequence[Call], tensors: dict[Ref, Any]) -> None:
    """Apply calls to tensors; `tensors` must hold what they need and receives what they produce."""
    for call in calls:
        args = _substitute(call.args, tensors)
        kwargs = _substitute(call.kwargs, tensors)
        if call.training is not None and _takes_training(call.operation):
            kwargs["training"] = call.training
        produced = keras.tree.flatten(call.operation(*args, **kwargs))
        tensors.update(zip(call.outputs, produced, strict=True))


class _Tracer:
    def __init__(self, clashing: set[str]):
        self.calls: list[Call] = []
        self._clashing = clashing
        self._count = 0

    def new_ref(self) -> Ref:
        self._count += 1
        return Ref(self._count - 1)

    def trace(self, model: keras.Model, inputs: Sequence[Ref], training: bool | None) -> Any:
        _refuse_contradiction(model)
        if isinstance(model, keras.Sequential):
            return self._trace_sequential(model, inputs, training)
        return self._trace_functional(model, inputs, training)

    def _trace_sequential(self, model: keras.Sequential, inputs: Sequence[Ref], training: bool | None) -> Any:
        current: Any = inputs[0]
        for layer in model.layers:
            current = self._call(layer, [current], {}, training)
        return current

    def _trace_functional(self, model: keras.Model, inputs: Sequence[Ref], training: bool | None) -> Any:
        config = model.get_config()
        operations = {operation.name: operation for operation in model.operations}
        produced: dict[tuple[str, int, int], Ref] = {}
        for place, ref in zip(_places(config["input_layers"]), inputs, strict=True):
            produced[_key(place)] = ref
        waiting = [
            (layer["name"], index, node)
            for layer in config["layers"]
            for index, node in enumerate(layer["inbound_nodes"])
        ]
        while waiting:
            # A shared layer's later call may need what another layer makes of its first: such calls wait a round.
            later = []
            for name, index, node in waiting:
                if all(key in produced for key in _needed(node)):
                    args, kwargs = (_revive(node[part], produced) for part in ("args", "kwargs"))
                    made = self._call(operations[name], args, kwargs, training)
                    produced.update(((name, index, i), ref) for i, ref in enumerate(_refs(made)))
                else:
                    later.append((name, index, node))
            if len(later) == len(waiting):
                raise SplitError(f"the graph of {model.name!r} cannot be ordered at {later[0][0]!r}.")
            waiting = later
        return _map_places(config["output_layers"], lambda place: produced[_output_key(place, operations)])

    def _call(self, operation: Any, args: Any, kwargs: dict[str, Any], training: bool | None) -> Any:
        inputs = tuple(_refs([args, kwargs]))
        if _has_graph(operation) and operation.name not in self._clashing:
            told = kwargs.get("training")
            return self.trace(operation, inputs, training if told is None else told)
        outputs = tuple(self.new_ref() for _ in keras.tree.flatten(operation.output))
        self.calls.append(Call(operation, args, kwargs, inputs, outputs, training))
        return outputs[0] if len(outputs) == 1 else list(outputs)


def _has_graph(operation: Any) -> bool:
    """Whether it is a model whose calls can be read: a sequence, or functional with nothing added.

    A subclass that builds its graph in a constructor of its own describes itself by that constructor's arguments.
    """
    return isinstance(operation, keras.Sequential) or type(operation) is _FUNCTIONAL


def _names_that_clash(models: Sequence[keras.Model]) -> set[str]:
    """Names of nested models that must stay whole, because a layer in them is called like another one elsewhere."""
    whole: set[str] = set()
    while True:
        objects: dict[str, set[int]] = {}
        nested: dict[str, set[str]] = {}
        for owner, operation in chain.from_iterable(_operations_below(model, "", whole) for model in models):
            objects.setdefault(operation.name, set()).add(id(operation))
            if owner:
                nested.setdefault(owner, set()).add(operation.name)
        clashing = {name for name, found in objects.items() if len(found) > 1}
        more = {owner for owner, names in nested.items() if clashing & names} - whole
        if not more:
            return whole
        whole |= more  # and now their own names count, which may clash in turn


def _operations_below(model: keras.Model, owner: str, whole: set[str]) -> Iterator[tuple[str, Any]]:
    for operation in model.layers if isinstance(model, keras.Sequential) else model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        if _has_graph(operation) and operation.name not in whole:
            yield from _operations_below(operation, operation.name, whole)
        else:
            yield owner, operation


def _refuse_contradiction(model: keras.Model) -> None:
    """Keras trains nothing in a model whose own `trainable` is false, whatever its layers say."""
    trained = [] if model.trainable else [layer.name for layer in model.layers if layer.trainable_variables]
    if trained:
        raise SplitError(
            f"{model.name!r} has trainable=False, but its layer {trained[0]!r} has trainable=True, which Keras then "
            "ignores. Set trainable on the layers alone."
        )


def _takes_training(operation: Any) -> bool:
    return "training" in inspect.signature(operation.call).parameters


def _is_tensor(config: Any) -> bool:
    return isinstance(config, dict) and config.get("class_name") == "__keras_tensor__"


def _needed(config: Any) -> Iterator[tuple[str, int, int]]:
    """The tensors that a node's serialised arguments mention."""
    if _is_tensor(config):
        yield _key(config["config"]["keras_history"])
    elif isinstance(config, dict):
        for value in config.values():
            yield from _needed(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _needed(value)


def _revive(config: Any, produced: Mapping[tuple[str, int, int], Ref]) -> Any:
    """Serialised arguments as they were passed, with `Ref` for tensors."""
    if _is_tensor(config):
        return produced[_key(config["config"]["keras_history"])]
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            return keras.saving.deserialize_keras_object(config)
        return {name: _revive(value, produced) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return [_revive(value, produced) for value in config]
    return config


def _refs(structure: Any) -> Iterator[Ref]:
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, dict):
        for name in sorted(structure):  # the order keras.tree.flatten goes through a dict in
            yield from _refs(structure[name])
    elif isinstance(structure, list | tuple):
        for value in structure:
            yield from _refs(value)


def _substitute(structure: Any, tensors: Mapping[Ref, Any]) -> Any:
    if isinstance(structure, Ref):
        return tensors[structure]
    if isinstance(structure, dict):
        return {name: _substitute(value, tensors) for name, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_substitute(value, tensors) for value in structure]
    return structure


def _is_place(config: Any) -> bool:
    return isinstance(config, list | tuple) and len(config) == 3 and isinstance(config[0], str)


def _key(place: Sequence[Any]) -> tuple[str, int, int]:
    return (place[0], int(place[1]), int(place[2]))


def _output_key(place: Sequence[Any], operations: Mapping[str, Any]) -> tuple[str, int, int]:
    # Keras counts a nested functional model's calls from one when it is an output, and from zero as an argument.
    shift = int(isinstance(operations[place[0]], _FUNCTIONAL))
    return (place[0], int(place[1]) - shift, int(place[2]))


def _places(config: Any) -> list[Sequence[Any]]:
    found: list[Sequence[Any]] = []
    _map_places(config, found.append)
    return found


def _map_places(config: Any, visit: Callable[[Sequence[Any]], Any]) -> Any:
    if _is_place(config):
        return visit(config)
    if isinstance(config, dict):
        return {name: _map_places(config[name], visit) for name in sorted(config)}
    return [_map_places(value, visit) for value in config]
