"""Grad-CAM: which places of a layer's maps a class hangs on, by gradients.

Source: Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization (ICCV 2017).
The gradient is that of the class's log-odds, not of its probability, which hardly moves where the network is certain.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from headstart.errors import HeadstartError, InputError
from headstart.explaining.inside import Inside, scaled
from headstart.models.graph import play, trace

_BATCH = 16
_NEVER = 1e9  # taken from a logarithm of a probability, it leaves nothing of that


class GradCam:
    """Grad-CAM at one layer of a network.

    Args:
        inside: the network.
        layer: which gives maps `(batch, rows, columns, channels)`.

    Raises:
        InputError: if Keras runs on a backend without gradients.
    """

    def __init__(self, inside: Inside, layer: Any):
        if keras.config.backend() not in _GRADIENTS:
            raise InputError(
                f"Grad-CAM needs gradients, which Keras does not compute on {keras.config.backend()}. "
                "Unset KERAS_BACKEND, or give --method eigen-cam or occlusion."
            )
        self._classifier = inside.model.layers[-1]
        if not isinstance(self._classifier, keras.layers.Dense):
            raise HeadstartError(f"the last layer of {inside.model.name} is no dense one, so it has no log-odds.")
        self._model = _with_offset(inside.model, layer)
        self._shape = tuple(layer.output.shape[1:])

    def __call__(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """See `headstart.explaining.explain.Method`."""
        batches = [slice(start, start + _BATCH) for start in range(0, len(pixels), _BATCH)]
        return np.concatenate([self._maps(pixels[batch], classes[batch]) for batch in batches])

    def _maps(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        shown = keras.ops.convert_to_tensor(pixels.astype(np.float32))
        chosen = keras.ops.convert_to_tensor(np.eye(max(2, self._classifier.units), dtype=np.float32)[classes])

        def odds(offset: Any) -> tuple[Any, Any]:
            maps, features = self._model([shown, offset], training=False)
            return keras.ops.sum(self._log_odds(features, chosen)), maps

        gradients, maps = _GRADIENTS[keras.config.backend()](odds, (len(pixels), *self._shape))
        weights = gradients.mean((1, 2), keepdims=True)
        return scaled((weights * maps).sum(3))

    def _log_odds(self, features: Any, chosen: Any) -> Any:
        """From what the classifier takes, before its softmax or sigmoid, `(n,)`."""
        ops, classifier = keras.ops, self._classifier
        logits = ops.matmul(ops.cast(features, "float32"), classifier.kernel) + classifier.bias
        if classifier.units == 1:
            return logits[:, 0] * (2 * chosen[:, 1] - 1)
        others = ops.logsumexp(logits - _NEVER * chosen, axis=1)
        return ops.sum(logits * chosen, axis=1) - others


def _with_offset(model: keras.Model, layer: Any) -> keras.Model:
    """A model to which something can be added behind a layer; the gradient for that is the one for the layer's maps.

    Returns:
        From pixels and an offset for the maps to the maps and what the classifier takes. Weights are shared.
    """
    graph = trace(model)
    pixels = keras.Input(model.input.shape[1:], name="pixels")
    offset = keras.Input(layer.output.shape[1:], name="offset")
    number = next(number for number, call in enumerate(graph.calls) if call.operation is layer)
    (place,) = graph.calls[number].outputs
    tensors: dict[Any, Any] = {graph.input_refs[0]: pixels}
    play(graph.calls[: number + 1], tensors)
    maps = tensors[place] = keras.layers.Add(name="with_offset")([tensors[place], offset])
    play(graph.calls[number + 1 : -1], tensors)
    return keras.Model([pixels, offset], [maps, tensors[graph.calls[-1].inputs[0]]])


_Function = Callable[[Any], tuple[Any, Any]]
_Gradient = Callable[[_Function, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]
"""Takes a function of a tensor that gives a number and something besides, and the tensor's shape; gives the function's
gradient at zero, and what it gave besides."""


def _by_tensorflow(function: _Function, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow

    zero = tensorflow.zeros(shape)
    with tensorflow.GradientTape() as tape:
        tape.watch(zero)
        value, besides = function(zero)
    return np.asarray(tape.gradient(value, zero)), np.asarray(besides, np.float32)


def _by_jax(function: _Function, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    import jax

    gradient, besides = jax.grad(function, has_aux=True)(jax.numpy.zeros(shape))
    return np.asarray(gradient), np.asarray(besides, np.float32)


def _by_torch(function: _Function, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    import torch

    zero = keras.ops.zeros(shape).detach().requires_grad_()
    value, besides = function(zero)
    (gradient,) = torch.autograd.grad(value, zero)
    return keras.ops.convert_to_numpy(gradient), keras.ops.convert_to_numpy(besides.detach()).astype(np.float32)


_GRADIENTS: dict[str, _Gradient] = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
