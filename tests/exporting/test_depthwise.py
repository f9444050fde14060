"""Grouped convolutions of one channel each become depthwise ones that compute the same; all else stays."""

import keras
import numpy as np
import pytest
from keras import layers

from headstart.exporting.depthwise import with_depthwise

PIXELS = np.random.default_rng(0).normal(size=(3, 16, 16, 6)).astype(np.float32)


def grouped(x, groups: int, **choices):
    return layers.Conv2D(6, 3, groups=groups, padding="same", bias_initializer="normal", **choices)(x)


def count(model, kind) -> int:
    inner = (count(layer, kind) for layer in model.layers if isinstance(layer, keras.Model))
    return sum(isinstance(layer, kind) for layer in model.layers) + sum(inner)


@pytest.mark.parametrize(
    "choices",
    [{}, {"strides": 2}, {"dilation_rate": 2}, {"use_bias": False}, {"activation": "relu"}],
    ids=["plain", "strides", "dilation", "no bias", "activation"],
)
def test_they_compute_the_same_also_inside_a_network_in_the_network(choices):
    keras.utils.set_random_seed(0)
    inner_input = keras.Input((16, 16, 6))
    inner = keras.Model(inner_input, grouped(inner_input, 6, name="grouped", **choices), name="inner")
    given = keras.Input((16, 16, 6))
    x = inner(grouped(given, 3, name="by_two"))  # which stays what it is
    model = keras.Model(given, layers.Dense(2)(layers.BatchNormalization()(x)))
    found = with_depthwise(model)
    assert count(found, layers.DepthwiseConv2D) == 1
    assert count(model, layers.DepthwiseConv2D) == 0
    np.testing.assert_allclose(found.predict(PIXELS, verbose=0), model.predict(PIXELS, verbose=0), atol=1e-5)


def test_a_model_without_them_is_left_alone():
    given = keras.Input((16, 16, 6))
    model = keras.Model(given, grouped(given, 3))
    assert with_depthwise(model) is model
