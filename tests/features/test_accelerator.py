"""Accelerators, without one: Keras runs there in large batches and bf16, and what is reported is what is saved."""

import csv
import logging
import sys

import keras
import numpy as np
import pytest

import headstart as hs
from headstart.errors import HeadstartError
from headstart.features import accelerator
from headstart.features.accelerator import batch_for, in_bfloat16, on_accelerator
from headstart.features.convert import choose_runtime, relative_difference
from headstart.features.runtime import KerasRuntime, exact_f32
from headstart.features.store import Store
from headstart.models.cut import fingerprint
from tests.features.test_runtime import pixels

SMALL = {"backbone": "nano", "image_size": 32, "head": "linear", "strategy": "head", "progress": False}


@pytest.fixture
def gpu(monkeypatch):
    """Keras reports a GPU; what is computed is computed on the processor."""
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    monkeypatch.setattr(accelerator, "LARGEST_BATCH", 32)


@pytest.fixture
def no_openvino(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.fixture(scope="module")
def frozen() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, [keras.layers.GlobalAveragePooling2D()(x), x])
    model.trainable = False
    return model


def choose(frozen, precision="auto"):
    return choose_runtime(frozen, fingerprint(frozen), Store(), pixels, precision)


@pytest.mark.parametrize(
    ("devices", "expected"), [(["cpu:0"], False), (["CPU:0", "CPU:1"], False), (["gpu:0"], True), (["tpu:0"], True)]
)
def test_an_accelerator_is_what_is_no_processor(monkeypatch, devices, expected):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: devices)
    assert on_accelerator() is expected


def test_pytorch_which_lists_no_devices_is_asked_where_it_puts_things(monkeypatch):
    class Tensor:
        class device:  # noqa: N801 - as PyTorch calls it
            type = "cuda"

    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    monkeypatch.setattr(keras.ops, "zeros", lambda shape: Tensor)
    assert on_accelerator()


def test_on_an_accelerator_keras_runs_the_frozen_part_in_bf16_and_large_batches(frozen, gpu):
    chosen = choose(frozen)
    assert (chosen.identity.name, chosen.identity.precision) == ("keras-tensorflow-accelerator", "bf16")
    assert chosen.rounds
    assert chosen.batch == 32
    assert chosen.converted is not None  # for those who have the base install only
    found, exact = chosen.load()(pixels(40)), KerasRuntime(frozen)(pixels(40))
    assert [array.dtype for array in found] == [np.float32, np.float32]
    assert 0 < relative_difference(found, exact) < 0.02


def test_f32_on_an_accelerator_is_another_space_than_bf16_there_and_gives_what_keras_gives(frozen, gpu):
    chosen = choose(frozen, "f32")
    assert chosen.identity.precision == "f32"
    assert not chosen.rounds
    assert chosen.identity != choose(frozen, "bf16").identity
    for one, other in zip(chosen.load()(pixels()), KerasRuntime(frozen)(pixels()), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("side", "expected"), [(32, 1024), (112, 1024), (224, 256), (299, 128), (600, 32), (2000, 32)])
def test_the_larger_the_pictures_the_fewer_at_once(side, expected):
    assert batch_for(keras.Model(x := keras.Input((side, side, 3)), x), fewest=32) == expected


def test_a_copy_in_bfloat16_leaves_the_model_and_its_preprocessing_alone(frozen):
    before = [layer.compute_dtype for layer in frozen.layers]
    copy = in_bfloat16(frozen)
    assert [layer.compute_dtype for layer in frozen.layers] == before
    bits = {type(layer).__name__: layer.compute_dtype for layer in copy.layers}
    assert (bits["Conv2D"], bits["Rescaling"], bits["GlobalAveragePooling2D"]) == ("bfloat16", "float32", "float32")
    for one, other in zip(copy.get_weights(), frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_adds_tensors_without_a_layer_has_a_copy_in_bfloat16():
    x = keras.Input((32, 32, 3))
    once = keras.layers.Conv2D(4, 3)(x)
    copy = in_bfloat16(keras.Model(x, once + 2 * keras.ops.relu(once)))
    found = copy(np.ones((1, 32, 32, 3), np.float32))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"


class Forgetful:
    """A model on a device with room for four pictures."""

    def predict_on_batch(self, batch):
        if len(batch) > 4:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return batch


def test_where_memory_runs_out_fewer_pictures_are_run_at_once(caplog):
    runtime = KerasRuntime(Forgetful(), batch=16)
    np.testing.assert_array_equal(runtime(pixels(10))[0], pixels(10))
    runtime(pixels(10))
    assert caplog.messages == [
        "memory has run out, so the frozen part runs on 8 pictures at once.",
        "memory has run out, so the frozen part runs on 4 pictures at once.",
    ]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(AttributeError):
        KerasRuntime(object(), batch=16)(pixels())


def test_f32_is_not_shortened_while_keras_runs_a_model():
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    with exact_f32():
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert tf.config.experimental.tensor_float_32_execution_enabled() == before


def test_what_is_reported_after_training_in_bf16_is_what_the_run_says(pictures, tmp_path, gpu):
    data = pictures(red=12, green=12)
    run = hs.train(data, out=tmp_path / "run", **SMALL)
    assert (run.precision, run.metrics["precision"]) == ("f32", "f32")
    assert run.about["runtime"]["name"] == "keras-tensorflow-accelerator"
    assert "accuracy_bf16" in run.metrics
    with open(tmp_path / "run" / "predictions.csv", newline="") as file:
        for row in csv.DictReader(file):
            (found,) = run.predict(data / row["path"])
            assert found.probabilities["red"] == pytest.approx(float(row["red"]), abs=1e-4)


def test_a_training_without_openvino_ends_in_a_run_that_keras_runs(pictures, tmp_path, no_openvino, caplog):
    data = pictures(red=12, green=12)
    run = hs.train(data, out=tmp_path / "run", **SMALL)
    assert (
        "OpenVINO is not installed (pip install openvino), so RUN has no runtime/ and needs Keras." in caplog.messages
    )
    assert not (run.path / "runtime").exists()
    assert run.about["runtime"]["name"] == "keras-tensorflow-cpu"
    assert len(run.predict(data / "red")) == 12


@pytest.mark.slow
def test_a_training_of_everything_does_without_openvino_too(pictures, tmp_path, no_openvino):
    choices = SMALL | {"strategy": "scratch", "epochs": 1}
    run = hs.train(pictures(red=12, green=12), out=tmp_path / "run", **choices)
    assert not (run.path / "runtime").exists()


def test_keras_stands_in_where_a_run_was_made_for_openvino(pictures, tmp_path, monkeypatch, caplog):
    data = pictures(red=12, green=12)
    run = hs.train(data, out=tmp_path / "run", **SMALL)
    with_openvino = run.predict(data / "red")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.WARNING):
        without = hs.load(run.path).predict(data / "red")
    assert [p.probability for p in without] == pytest.approx([p.probability for p in with_openvino], abs=1e-3)
    assert caplog.messages == [
        f"OpenVINO is not installed, so Keras runs {run!r}, in f32. Install it with: pip install openvino"
    ]
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(HeadstartError, match=r"^OpenVINO is not installed\. Install it with: pip install openvino$"):
        hs.load(run.path).predict(data / "red")
