"""Fitting a head by Keras from kept features: stops early, keeps the best, repeats exactly."""

import keras
import numpy as np
import pytest

from headstart.features.extract import Extraction
from headstart.features.keys import picture_digest
from headstart.features.store import Store
from headstart.training.fit import BATCH, PATIENCE, FeatureBatches, fit


@pytest.fixture
def extraction():
    """Features of 200 pictures, two frontier tensors; the class is the sign of the first value."""
    space = Store().space({"test": 1}, {}).refresh()
    random = np.random.default_rng(0)
    vectors, others = (random.normal(size=(200, 4)).astype(np.float32) for _ in range(2))
    digests = {f"p{i}": picture_digest(str(i).encode()) for i in range(200)}
    space.append(list(digests.values()), [vectors, others])
    return Extraction(space, digests), (vectors[:, 0] > 0).astype(int)


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = [keras.Input((4,)), keras.Input((4,))]
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(16, "relu")(keras.layers.Concatenate()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))


def batches(extraction, labels, numbers, seed):
    return FeatureBatches(extraction, [f"p{i}" for i in numbers], labels[numbers], seed)


def test_batches_cover_every_picture_once_and_are_shuffled_by_the_seed(extraction):
    features, labels = extraction
    data = batches(features, labels, np.arange(100), seed=1)
    assert len(data) == -(-100 // BATCH)
    seen = np.concatenate([data[i][0][0] for i in range(len(data))])
    expected = features.read([f"p{i}" for i in range(100)])[0]
    assert not np.array_equal(seen, expected)
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(expected, axis=0))
    same = batches(features, labels, np.arange(100), seed=1)
    np.testing.assert_array_equal(data[0][1], same[0][1])
    first = data[0][1]
    data.on_epoch_end()
    assert not np.array_equal(first, data[0][1])


def test_labels_go_with_their_pictures(extraction):
    features, labels = extraction
    data = batches(features, labels, np.arange(200), seed=1)
    for number in range(len(data)):
        (vectors, _), given = data[number]
        np.testing.assert_array_equal(vectors[:, 0] > 0, given == 1)


def test_it_learns_and_stops_when_the_validation_loss_stops_falling(extraction):
    features, labels = extraction
    net = model()
    train = batches(features, labels, np.arange(150), 0)
    val = batches(features, labels, np.arange(150, 200), None)
    history = fit(net, train, val, epochs=60)
    best = min(history, key=lambda row: row["val_loss"])
    assert best["val_accuracy"] > 0.85
    if len(history) < 60:
        assert len(history) == best["epoch"] + PATIENCE
    loss = net.evaluate(val, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(best["val_loss"], abs=1e-4)
    assert list(history[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(extraction):
    features, labels = extraction

    def trained() -> list[np.ndarray]:
        net = model()
        train = batches(features, labels, np.arange(150), 0)
        fit(net, train, batches(features, labels, np.arange(150, 200), None), epochs=3)
        return net.get_weights()

    for one, other in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(one, other)
