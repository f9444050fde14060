"""How many pictures are run at once: guessed where they are few, measured where they are many, and then known."""

import json

import keras
import numpy as np
import pytest

from headstart.features import tuning
from headstart.features.convert import export_openvino
from headstart.features.runtime import OpenVINORuntime
from headstart.features.tuning import load_tuned


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(512, 3, activation="relu")(inputs))
    path = tmp_path_factory.mktemp("model") / "model.xml"
    export_openvino(keras.Model(inputs, outputs), path)
    return path


@pytest.fixture(autouse=True)
def forgotten(model, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    yield
    (model.parent / "batches.json").unlink(missing_ok=True)


def test_a_batch_fills_the_cache_and_no_more(model):
    # 30 x 30 x 512 values of four bytes are 1.8 MB, of which two fit into 4 MB.
    assert OpenVINORuntime(model, pixels=True).batch == 2
    assert OpenVINORuntime(model, pixels=True, at_most=1).batch == 1


def test_every_core_has_a_batch(model, monkeypatch):
    monkeypatch.setattr("headstart.features.runtime.cores", lambda: 32)
    assert OpenVINORuntime(model, pixels=True).batch == 1
    assert OpenVINORuntime(model, pixels=True, at_most=128).batch == 2


def test_few_pictures_are_not_worth_a_measurement(model, monkeypatch):
    monkeypatch.setattr(tuning, "_fastest", lambda *_: pytest.fail("measured"))
    assert load_tuned(model, "f32", 10).batch == 2
    assert not (model.parent / "batches.json").exists()


def test_many_are_and_what_was_found_is_remembered(model, monkeypatch):
    found = load_tuned(model, "f32", 10**9)
    (size,) = json.loads((model.parent / "batches.json").read_text()).values()
    assert size == found.batch
    assert size in (1, 2, 8)
    monkeypatch.setattr(tuning, "_fastest", lambda *_: pytest.fail("measured again"))
    assert load_tuned(model, "f32", 10**9).batch == size


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": "y"}'])
def test_a_damaged_memory_is_none(model, damage, monkeypatch):
    (model.parent / "batches.json").write_text(damage)
    assert load_tuned(model, "f32", 10).batch == 2


def test_sizes_that_cannot_be_are_not_believed(model):
    machine = tuning._machine("f32")
    for size in (0, -1, 10**6, 2.5, True, None):
        (model.parent / "batches.json").write_text(json.dumps({machine: size}))
        assert load_tuned(model, "f32", 10).batch == 2
    (model.parent / "batches.json").write_text(json.dumps({machine: 16}))
    assert load_tuned(model, "f32", 10).batch == 16


def test_all_sizes_give_the_same_features(model):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 32, 32, 3), np.uint8)
    expected = OpenVINORuntime(model, pixels=True, batch=1)(pixels)[0]
    for size in (2, 3, 16, 32):
        found = OpenVINORuntime(model, pixels=True, batch=size)(pixels)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
