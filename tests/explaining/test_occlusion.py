"""Occlusion against class activation maps and against replacing every place by hand, in Keras."""

import subprocess
import sys

import numpy as np
import pytest

from headstart.errors import DataError
from headstart.explaining.occlusion import heatmaps, log_odds
from tests.explaining.conftest import averaged, build, pixels, write_run


def scaled(lost: np.ndarray) -> np.ndarray:
    lost = np.maximum(lost, 0)
    return lost / np.maximum(lost.max((1, 2), keepdims=True), 1e-12)


def odds(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Log-odds from probabilities, in which only unsaturated ones survive."""
    both = np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities
    chosen = both[np.arange(len(both)), classes].astype(float)
    return np.log(chosen / (1 - chosen))


def by_hand(model, at: str, classes: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Replace each place of what a layer gives by the average of all places, and run the layers behind it in Keras."""
    import keras

    layer = model.get_layer(at)
    before = keras.Model(model.input, layer.output)
    after = keras.Model(layer.output, model.output)
    maps = np.asarray(before(shown.astype(np.float32)))
    rows, columns = maps.shape[1:3]
    changed = []
    for place in range(rows * columns):
        changed.append(maps.copy())
        changed[-1][:, place // columns, place % columns] = maps.mean((1, 2))
    left = odds(np.asarray(after(np.concatenate(changed))), np.tile(classes, rows * columns))
    lost = odds(np.asarray(after(maps)), classes)[:, None] - left.reshape(rows * columns, -1).T
    return scaled(lost.reshape(len(maps), rows, columns))


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A RUN with a linear head on a frozen network."""
    return write_run(tmp_path_factory.mktemp("linear") / "run", build(averaged), "classifier")


def test_with_a_linear_head_it_is_the_class_activation_map_above_its_mean(linear):
    import keras

    model, shown, classes = linear.model, pixels(5), np.array([0, 1, 0, 1, 1])
    maps = np.asarray(keras.Model(model.input, model.get_layer("conv_2").output)(shown.astype(np.float32)))
    kernel = np.asarray(model.get_layer("classifier").kernel)
    activation = np.einsum("nhwc,cn->nhw", maps, kernel[:, classes] - kernel[:, 1 - classes])
    expected = scaled(activation - activation.mean((1, 2), keepdims=True))
    found = heatmaps(linear, shown, classes)
    assert found is not None
    assert (found.dtype, found.shape) == (np.float32, (5, 4, 4))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("trained_from", "output"), [("conv_0", "sigmoid"), ("conv_2", "softmax"), ("classifier", "sigmoid")]
)
def test_wherever_the_cut_is_the_map_is_the_same(write, trained_from, output):
    model = build(lambda x: averaged(x, 3, output))
    shown, classes = pixels(4), np.array([0, 1, 1, 0])
    found = heatmaps(write(model, trained_from, output), shown, classes)
    np.testing.assert_allclose(found, by_hand(model, "conv_2", classes, shown), atol=1e-3)


def kernel_head(x):
    from keras import layers

    x = layers.UnitNormalization(name="unit")(layers.GlobalAveragePooling2D(name="pooled")(x))
    return layers.Dense(4, "softmax", name="classifier")(layers.Dense(9, "exponential", name="landmarks")(x))


@pytest.mark.parametrize("trained_from", ["conv_2", "landmarks"])
def test_a_kernel_head_is_run_again_for_every_place(write, trained_from):
    model = build(kernel_head)
    shown, classes = pixels(6), np.array([0, 1, 2, 3, 0, 1])
    found = heatmaps(write(model, trained_from), shown, classes)
    np.testing.assert_allclose(found, by_hand(model, "conv_2", classes, shown), atol=2e-3)


def test_averages_beside_the_way_are_not_taken_for_the_last_one(write):
    model = build(averaged, squeeze=True)
    shown, classes = pixels(3), np.array([0, 1, 1])
    found = heatmaps(write(model, "classifier"), shown, classes)
    np.testing.assert_allclose(found, by_hand(model, "excited", classes, shown), atol=1e-3)


def test_without_an_average_places_of_the_kept_map_are_replaced(write):
    from keras import layers

    model = build(lambda x: layers.Dense(3, "softmax", name="classifier")(layers.Flatten(name="flat")(x)))
    shown, classes = pixels(3), np.array([2, 0, 1])
    found = heatmaps(write(model, "conv_2"), shown, classes)
    assert found is not None
    assert found.shape == (3, 8, 8)
    np.testing.assert_allclose(found, by_hand(model, "conv_1", classes, shown), atol=1e-3)


def two_networks():
    """Two networks of different widths on the same pixels, their averages side by side."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    shown = keras.Input((32, 32, 3), name="pixels")
    fused = [
        layers.GlobalAveragePooling2D()(layers.Conv2D(width, 5, width, activation="relu", name=f"net_{width}")(shown))
        for width in (4, 6)
    ]
    return keras.Model(shown, layers.Dense(2, "softmax", name="classifier")(layers.Concatenate()(fused)))


def test_of_several_networks_squares_of_the_picture_are_replaced_by_its_mean_colour(write):
    model = two_networks()
    model.get_layer("classifier").kernel.assign(model.get_layer("classifier").kernel / 30)  # not to be saturated
    shown, classes = pixels(2), np.array([0, 1])
    found = heatmaps(write(model, "classifier"), shown, classes)
    assert found is not None
    assert found.shape == (2, 8, 8)
    changed = []
    for row in range(8):
        for column in range(8):
            changed.append(shown.astype(np.float32))
            changed[-1][:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = shown.mean((1, 2))[:, None, None]
    left = odds(np.asarray(model(np.concatenate(changed))), np.tile(classes, 64)).reshape(64, 2).T
    lost = odds(np.asarray(model(shown.astype(np.float32))), classes)[:, None] - left
    np.testing.assert_allclose(found, scaled(lost.reshape(2, 8, 8)), atol=2e-3)


def test_where_nothing_speaks_for_the_class_there_is_no_heat(write):
    model = build(averaged)
    model.get_layer("classifier").kernel.assign(np.zeros((12, 2)))
    found = heatmaps(write(model, "classifier"), pixels(2), np.array([0, 1]))
    assert found is not None
    assert not found.any()


def test_what_a_picture_shows_does_not_depend_on_the_others(linear):
    shown, classes = pixels(9), np.arange(9) % 2
    together = heatmaps(linear, shown, classes)
    alone = heatmaps(linear, shown[4:5], classes[4:5])
    assert together is not None
    np.testing.assert_allclose(together[4:5], alone, atol=1e-5)


def test_a_run_that_openvino_cannot_run_has_no_map(write):
    run = write(build(averaged), "classifier", runtime=False)
    assert heatmaps(run, pixels(1), np.array([0])) is None


def test_each_picture_needs_a_class(linear):
    with pytest.raises(DataError, match=r"^2 pictures and 1 classes; one class for each picture is needed\.$"):
        heatmaps(linear, pixels(2), np.array([0]))


def test_log_odds_do_not_end_where_probabilities_do():
    logits = np.array([[0.0, 60.0, -5.0], [1.0, 2.0, 3.0]])
    found = log_odds(logits, np.array([1, 0]))
    probability = np.exp(1) / np.exp([1, 2, 3]).sum()
    assert found[0] == pytest.approx(60 - np.log(1 + np.exp(-5)))
    assert found[1] == pytest.approx(np.log(probability / (1 - probability)))


def test_it_needs_no_keras():
    code = "import headstart.explaining.occlusion, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"keras", "tensorflow", "sklearn", "scipy", "jinja2"}
