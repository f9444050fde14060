"""Grad-CAM against class activation maps and against gradients by differences."""

import keras
import numpy as np
import pytest

from headstart.errors import InputError
from headstart.explaining.gradcam import GradCam
from headstart.explaining.inside import Inside
from tests.explaining.conftest import averaged, build, pixels
from tests.explaining.test_occlusion import kernel_head, odds, scaled


def by_differences(model, at: str, classes: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Grad-CAM of the log-odds, with the gradient of a whole channel found by moving it up and down a little."""
    layer = model.get_layer(at)
    before, after = keras.Model(model.input, layer.output), keras.Model(layer.output, model.output)
    maps, step = np.asarray(before(shown.astype(np.float32))), 1e-3
    channels = maps.shape[3]
    moved = [maps + side * step * np.eye(channels)[channel] for channel in range(channels) for side in (1, -1)]
    found = odds(np.asarray(after(np.concatenate(moved))), np.tile(classes, 2 * channels))
    up, down = found.reshape(channels, 2, len(maps)).transpose(1, 2, 0)
    weights = up - down
    return scaled(np.einsum("nhwc,nc->nhw", maps, weights))


def test_with_a_linear_head_it_is_the_class_activation_map_above_zero(write):
    model = build(averaged)
    shown, classes = pixels(20), np.arange(20) % 2
    maps = np.asarray(keras.Model(model.input, model.get_layer("conv_2").output)(shown.astype(np.float32)))
    kernel = np.asarray(model.get_layer("classifier").kernel)
    activation = np.einsum("nhwc,cn->nhw", maps, kernel[:, classes] - kernel[:, 1 - classes])
    inside = Inside(write(model, "classifier", runtime=False))
    found = GradCam(inside, inside.layer(None))(shown, classes)
    assert (found.dtype, found.shape) == (np.float32, (20, 4, 4))
    np.testing.assert_allclose(
        found, np.maximum(activation, 0) / np.maximum(activation.max((1, 2)), 1e-9)[:, None, None], atol=1e-4
    )


@pytest.mark.parametrize(
    ("at", "head"),
    [
        ("conv_0", kernel_head),
        ("conv_1", averaged),
        ("conv_1", lambda x: averaged(x, 2, "sigmoid")),
        ("conv_2", kernel_head),
    ],
)
def test_at_any_layer_and_for_any_head_it_follows_the_gradient_of_the_log_odds(write, at, head):
    model = build(head)
    output = "sigmoid" if model.output.shape[-1] == 1 else "softmax"
    shown, classes = pixels(4), np.array([0, 1, 1, 0])
    inside = Inside(write(model, "conv_2", output, runtime=False))
    found = GradCam(inside, inside.layer(at))(shown, classes)
    np.testing.assert_allclose(found, by_differences(model, at, classes, shown), atol=0.03)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_certainty_does_not_blind_it(write, output):
    shown, classes = pixels(4), np.array([0, 1, 0, 1])
    maps = []
    for name, factor in (("unsure", 1), ("certain", 3000)):
        model = build(lambda x: averaged(x, 2, output))
        model.get_layer("classifier").kernel.assign(model.get_layer("classifier").kernel * factor)
        inside = Inside(write(model, "classifier", output, at=name, runtime=False))
        maps.append(GradCam(inside, inside.layer(None))(shown, classes))
    assert maps[0].any()
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)


def test_the_model_is_left_as_it_was(write):
    run, shown = write(build(averaged), "conv_2", runtime=False), pixels(2)
    before = np.asarray(run.model(shown.astype(np.float32)))
    names = [layer.name for layer in run.model.layers]
    inside = Inside(run)
    GradCam(inside, inside.layer("conv_1"))(shown, np.array([0, 1]))
    assert [layer.name for layer in run.model.layers] == names
    np.testing.assert_array_equal(np.asarray(run.model(shown.astype(np.float32))), before)
    assert inside.layer("conv_1").output.shape[1:] == (8, 8, 10)


def test_a_backend_without_gradients_says_so(write, monkeypatch):
    inside = Inside(write(build(averaged), "classifier", runtime=False))
    monkeypatch.setattr(keras.config, "backend", lambda: "openvino")
    with pytest.raises(InputError) as error:
        GradCam(inside, inside.layer(None))
    assert str(error.value) == (
        "Grad-CAM needs gradients, which Keras does not compute on openvino. "
        "Unset KERAS_BACKEND, or give --method eigen-cam or occlusion."
    )
