"""Freezing: a frozen layer does the same with the same picture, today and tomorrow."""

import keras


def freeze(model: keras.Model) -> None:
    """Freeze a model: nothing in it is trained, updated or drawn at random from now on.

    Setting `trainable` to false does that for weights and for BatchNormalization, which then runs on its moving
    statistics also in training. It does not do it for dropout: in Keras 3 `fit` switches that on in frozen layers too,
    even if the model was called with `training=False`. So its rate is set to zero.

    Args:
        model: with or without nested models; it is changed.
    """
    model.trainable = False
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            freeze(layer)
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
