"""The backbone in the box: small, offline, called as any other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from headstart.errors import RecipeError, WeightsError
from headstart.models.assemble import build_network
from headstart.models.backbones import backbones, find_backbone
from headstart.models.nano import SIZE, WEIGHTS, Nano, load_weights, preprocess_input, save_weights

HEADSTART = str(Path(sys.executable).parent / "headstart")


def test_its_weights_take_at_most_two_megabytes_in_float16():
    assert WEIGHTS.stat().st_size <= 2_000_000
    stored = load_file(WEIGHTS)
    assert {array.dtype for array in stored.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(array).all() for array in stored.values())


def test_it_is_built_with_the_weights_in_the_package_and_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    network = build_network(find_backbone("nano"), "imagenet", SIZE)
    stored = load_file(WEIGHTS)
    variables = {f"{layer.name}/{w.name}": w for layer in network.model.layers for w in layer.weights}
    assert set(variables) == set(stored)
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, stored[name].astype(np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", [32, 64, 96, 100, 224])
def test_it_takes_pictures_of_any_size_from_32_on(side):
    model = build_network(find_backbone("nano"), "imagenet", side).model
    rows = -(-side // 16)
    assert model.output.shape == (None, rows, rows, 640)
    features = np.asarray(model(np.zeros((1, side, side, 3), np.float32), training=False))
    assert np.isfinite(features).all()
    assert (features >= 0).all()


def test_smaller_pictures_and_its_top_are_refused():
    with pytest.raises(RecipeError) as caught:
        find_backbone("nano").build(31)
    assert caught.value.problems == (
        "nano cannot be built for 31x31 pictures: input_shape must be at least 32x32, not (31, 31, 3)",
    )
    with pytest.raises(RecipeError) as caught:
        build_network(find_backbone("nano"), "imagenet", SIZE, include_top=True)
    assert caught.value.problems == ("nano has no classifier of its own; choose another backbone.",)


def test_pixels_are_scaled_to_between_minus_one_and_one():
    pixels = keras.Input((2, 2, 3))
    model = keras.Model(pixels, find_backbone("nano").preprocess(pixels))
    values = np.array([0.0, 127.5, 255.0, 51.0], np.float32).reshape(1, 2, 2, 1).repeat(3, -1)
    np.testing.assert_allclose(model(values), preprocess_input(values), atol=1e-6)
    assert preprocess_input(values).min() == -1
    assert preprocess_input(values).max() == 1


def test_weights_come_back_from_a_file_as_they_were_to_float16(tmp_path):
    before, after = Nano(weights=None), Nano(weights=None)
    save_weights(before, tmp_path / "weights.safetensors")
    load_weights(after, tmp_path / "weights.safetensors")
    for was, is_now in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(is_now, was.astype(np.float16).astype(np.float32))


def test_what_it_has_learned_is_not_what_it_was_born_with():
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    learned, random = Nano(), Nano(weights=None)
    assert not np.allclose(learned(pixels), random(pixels), atol=0.1)


def test_it_is_offered_where_the_weights_of_another_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*_, **__):
        raise Exception("URL fetch failure on https://example.org/w.h5: None -- no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    with pytest.raises(WeightsError) as caught:
        build_network(backbones()["mobilenet_v2"], "imagenet", 224)
    assert str(caught.value).startswith("the ImageNet weights of mobilenet_v2 are not here and cannot be fetched.")
    assert str(caught.value).endswith(
        "; or take --backbone nano, which comes with headstart, --weights FILE, or --weights none for random ones."
    )


def test_a_folder_of_pictures_is_trained_on_with_an_empty_home(pictures, tmp_path):
    data = pictures(red=12, green=12)
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("KERAS_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [
            HEADSTART,
            "train",
            str(data),
            "--backbone",
            "nano",
            "--out",
            str(tmp_path / "run"),
            "--strategy",
            "head",
            "--json",
        ],
        capture_output=True,
        text=True,
        env=kept | {"HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert metrics["accuracy"] == 1
    assert metrics["pictures"] == 24
