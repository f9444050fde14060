"""Grouped convolutions with one channel in each group, written as what they are: depthwise ones.

Keras' ConvNeXt has them as `Conv2D(groups=channels)`, which LiteRT's converter does not take.
"""

from typing import Any

import keras


def with_depthwise(model: keras.Model) -> keras.Model:
    """The same model, computing the same, with `DepthwiseConv2D` for such convolutions; itself where it has none."""
    if not any(_is_depthwise(layer) for layer in _all_layers(model)):
        return model
    clone = keras.models.clone_model(model, clone_function=_clone, recursive=True)
    pairs = zip(clone.weights, model.weights, strict=True)  # in the same order: layers stay where they are
    for new, old in pairs:
        values = keras.ops.convert_to_numpy(old)
        new.assign(values if new.shape == old.shape else values.transpose(0, 1, 3, 2))
    return clone


def _all_layers(model: keras.Model) -> Any:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _is_depthwise(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D) or layer.groups == 1:
        return False
    return bool(layer.groups == layer.filters and layer.kernel.shape[2] == 1)


def _clone(layer: keras.Layer) -> keras.Layer:
    if not _is_depthwise(layer):
        return layer.__class__.from_config(layer.get_config())
    same = ("name", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
    return keras.layers.DepthwiseConv2D(**{name: getattr(layer, name) for name in same})
