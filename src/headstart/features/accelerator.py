"""Where Keras computes: whether that is an accelerator, how much it is given at once, and in how many bits."""

from typing import Any

import keras

LARGEST_BATCH = 1024
"""Pictures in one run on an accelerator, however small they are."""

PIXELS_AT_ONCE = 256 * 224 * 224
"""Of all pictures in one run on an accelerator; docs/design/runtime.md has what other sizes do."""

# Eight bits of mantissa cannot tell scaled pixels apart, and pooling in float32 costs nothing.
_STAY_IN_32_BITS = (keras.layers.Rescaling, keras.layers.Normalization, keras.layers.GlobalAveragePooling2D)


def on_accelerator() -> bool:
    """Whether Keras' backend computes on something other than the processor: a GPU or a TPU."""
    if keras.config.backend() == "openvino":
        return False
    if keras.config.backend() == "torch":  # Keras cannot list PyTorch's devices, but puts tensors on the best one
        return str(keras.ops.zeros(()).device.type) != "cpu"
    return any(not device.lower().startswith("cpu") for device in keras.distribution.list_devices())


def batch_for(model: keras.Model, fewest: int) -> int:
    """Pictures per run of a model on an accelerator: a power of two, fewer of larger pictures.

    Args:
        model: takes pictures `(batch, height, width, 3)`.
        fewest: never fewer than these.
    """
    height, width = map(int, model.inputs[0].shape[1:3])
    room = PIXELS_AT_ONCE // max(1, height * width)
    return min(LARGEST_BATCH, max(fewest, 1 << max(0, room.bit_length() - 1)))


def in_bfloat16(model: keras.Model) -> keras.Model:
    """A copy of a model that computes in bfloat16; its weights stay in 32 bits, and the model stays as it is.

    Args:
        model: functional.

    Returns:
        A model with the same inputs, whose outputs may be bfloat16.
    """
    copy = keras.models.clone_model(model, clone_function=_cloned, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
    config: dict[str, Any] = layer.get_config()
    is_layer = isinstance(layer, keras.layers.Layer)  # or an operation, as `+` between two tensors: it takes what comes
    if is_layer and not isinstance(layer, _STAY_IN_32_BITS):
        config["dtype"] = "mixed_bfloat16"
    return type(layer).from_config(config)
