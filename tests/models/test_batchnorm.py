"""Statistics of BatchNormalization, estimated anew."""

import keras
import numpy as np
import pytest

from headstart.errors import DataError
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.batchnorm import adapt, set_statistics, statistics
from headstart.models.freeze import Freezer
from headstart.models.layers import leaves
from headstart.specs import parse_head


def one_norm() -> keras.Model:
    """Pixels, dropout that would change everything, one frozen BatchNormalization in a frozen nested model."""
    inside = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dropout(0.5, name="drop")(inside))
    nested = keras.Model(inside, x, name="nested")
    nested.trainable = False
    inputs = keras.Input((4, 4, 3), name="pixels")
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="conv")(nested(inputs)))


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)


def test_the_statistics_are_those_of_all_batches_together_whatever_their_sizes():
    model, everything = one_norm(), pixels(20)
    everything[:9] //= 3  # the batches differ, so that the variance between them counts
    adapt(model, [everything[:9], everything[9:11], everything[11:]])
    mean, variance = statistics(model)
    np.testing.assert_allclose(mean, everything.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, everything.var((0, 1, 2)), rtol=1e-4)


def test_nothing_else_changes():
    model = one_norm()
    before = {leaf.name: [array.copy() for array in leaf.get_weights()] for leaf in leaves(model)}
    adapt(model, [pixels(8)])
    norm, drop = (model.get_layer("nested").get_layer(name) for name in ("norm", "drop"))
    assert (norm.trainable, norm.momentum, drop.rate) == (False, 0.99, 0.5)
    assert not model.get_layer("nested").trainable
    for leaf in leaves(model):
        kept = before[leaf.name] if leaf is not norm else before["norm"][:2]
        assert all((one == other).all() for one, other in zip(kept, leaf.get_weights(), strict=False))
    x = pixels(2).astype(np.float32)
    drop.rate = 0.0
    np.testing.assert_allclose(model(x, training=True), model(x, training=False))


def test_a_deeper_layer_is_measured_behind_layers_that_normalise_with_the_batch():
    network = build_network(find_backbone("mobilenet_0.25"), "none", 32)
    Freezer(network.model).apply(len(network.model.layers), "adapt")
    model = assemble([network], 32, parse_head("linear"), 3)
    batch = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    adapt(model, [batch])
    x = batch.astype(np.float32)
    norm = network.model.get_layer("conv_dw_3_bn")
    inputs = network.model.layers[network.model.layers.index(norm) - 1].output
    before = keras.Model(network.model.input, inputs)(x / 127.5 - 1, training=False)
    np.testing.assert_allclose(norm.moving_mean, np.mean(before, (0, 1, 2)), rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, np.var(before, (0, 1, 2)), rtol=1e-2, atol=1e-4)


def test_statistics_can_be_kept_and_given_back():
    model = one_norm()
    adapt(model, [pixels(8)])
    kept = statistics(model)
    adapt(model, [pixels(8, seed=1)])
    assert any((one != other).any() for one, other in zip(kept, statistics(model), strict=True))
    set_statistics(model, kept)
    assert all((one == other).all() for one, other in zip(kept, statistics(model), strict=True))
    with pytest.raises(ValueError, match=r"has statistics of the shapes \[\(3,\), \(3,\)\], received were \[\(3,\)\]"):
        set_statistics(model, kept[:1])


def test_without_pictures_nothing_is_estimated():
    model = one_norm()
    with pytest.raises(DataError, match="there is no picture to estimate the statistics"):
        adapt(model, [])


def test_a_batch_that_cannot_be_used_leaves_the_model_as_it_was():
    model = one_norm()
    before = statistics(model)
    with pytest.raises(Exception, match="expected shape"):
        adapt(model, [pixels(4), np.zeros((2, 5, 5, 7))])
    assert all((one == other).all() for one, other in zip(before, statistics(model), strict=True))
    assert model.get_layer("nested").get_layer("drop").rate == 0.5
