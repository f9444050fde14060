"""A frozen part that travels gives the same bits where it arrives."""

import pickle

import keras
import numpy as np
import pytest

from headstart.features.convert import FrozenRuntime, export_openvino
from headstart.features.engine import OpenVINOFile
from headstart.features.packed import pack_keras, pack_pixels
from headstart.features.runtime import KerasRuntime, openvino_identity
from headstart.threads import CORES


@pytest.fixture
def frozen() -> keras.Model:
    inputs = keras.Input((24, 24, 3))
    hidden = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(hidden)))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 24, 24, 3), np.uint8)


@pytest.mark.parametrize("limit", ["", "1"])
def test_openvino_gives_the_bits_of_the_process_that_packed_it(frozen, pixels, tmp_path, monkeypatch, limit):
    export_openvino(frozen, tmp_path / "model.xml")
    runtime = FrozenRuntime(openvino_identity("f32"), tmp_path / "model.xml", frozen)
    (expected,) = runtime.load(pictures=37)(pixels)
    travelled = pickle.loads(pickle.dumps(runtime.pack()))
    assert OpenVINOFile(tmp_path / "model.xml", "f32").pack().rows == travelled.rows
    monkeypatch.setenv(CORES, limit)  # where it arrives there may be one core only
    (found,) = travelled.unpack()(pixels)
    assert np.array_equal(found, expected)


def test_keras_gives_what_keras_gives_here(frozen, pixels):
    (expected,) = KerasRuntime(frozen, 16)(pixels)
    packed = pickle.loads(pickle.dumps(pack_keras(frozen, "f32", 16, on_accelerator=False)))
    assert packed.runtime == keras.config.backend()
    (found,) = packed.unpack()(pixels)
    assert np.array_equal(found, expected)


def test_pixels_are_handed_through(pixels):
    (found,) = pack_pixels().unpack()(pixels)
    assert np.array_equal(found, pixels)
