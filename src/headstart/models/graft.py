"""Weights from a finished run: its head, or all of it, for a model that was freshly assembled."""

from collections.abc import Iterable, Mapping

import keras

from headstart.errors import RunError
from headstart.models.layers import leaves


def graft_head(model: keras.Model, saved: keras.Model) -> tuple[list[str], list[str]]:
    """Give the head of a model the weights of the layers with the same names and shapes in a saved one.

    Args:
        model: as `assemble` makes it: the head is what stands beside the nested networks. Its head is changed.
        saved: the model of a RUN, whose layers may be nested or not.

    Returns:
        The names of the layers that were filled, and of those that were not, each with the reason in parentheses.
    """
    there = _by_name(saved)
    head = [layer for layer in model.layers if layer.weights and not isinstance(layer, keras.Model)]
    misfits = _misfits(head, there)
    loaded = [layer for layer in head if layer.name not in misfits]
    _fill(loaded, there)
    return [layer.name for layer in loaded], [f"{name} ({reason})" for name, reason in misfits.items()]


def continue_from(model: keras.Model, saved: keras.Model) -> None:
    """Give a model all weights of a finished one with the same layers.

    Args:
        model: as `assemble` makes it; it is changed, unless anything does not fit.
        saved: the model of a RUN, whose layers may be nested or not.

    Raises:
        RunError: naming every layer that is in one of them only, or has another shape.
    """
    there, here = _by_name(saved), _by_name(model)
    misfits = _misfits(here.values(), there)
    misfits |= dict.fromkeys([name for name in there if name not in here], "only in the run")
    if misfits:
        listed = ", ".join(f"{name} ({reason})" for name, reason in misfits.items())
        raise RunError(
            f"the run's model does not have the layers of this recipe: {listed}. "
            "Give the backbone, tap, image size, head and classes that the run was made with."
        )
    _fill(here.values(), there)


def _by_name(model: keras.Model) -> dict[str, keras.layers.Layer]:
    return {leaf.name: leaf for leaf in leaves(model) if leaf.weights}


def _misfits(layers: Iterable[keras.layers.Layer], there: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Why layers have no counterpart."""
    reasons = {}
    for layer in layers:
        if layer.name not in there:
            reasons[layer.name] = "not in the run"
        elif _shapes(there[layer.name]) != _shapes(layer):
            reasons[layer.name] = f"{_shapes(there[layer.name])} in the run, {_shapes(layer)} here"
    return reasons


def _shapes(layer: keras.layers.Layer) -> str:
    return " and ".join("x".join(map(str, weight.shape)) for weight in layer.weights)


def _fill(layers: Iterable[keras.layers.Layer], there: Mapping[str, keras.layers.Layer]) -> None:
    for layer in layers:
        layer.set_weights(there[layer.name].get_weights())
