"""Weights that fit, fit in part, or are refused with what was expected and found."""

import logging
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from headstart.errors import WeightsError
from headstart.models.assemble import build_network, last_complete_tap
from headstart.models.backbones import Backbone, find_backbone
from headstart.models.weights import build_with_weights

NAME = "mobilenet_0.25"
MISSING = ("conv_dw_13", "conv_dw_13_bn", "conv_pw_13", "conv_pw_13_bn")


def backbone() -> Backbone:
    return find_backbone(NAME)


def save(model: keras.Model, file: Path) -> str:
    if file.name.endswith(".weights.h5"):
        model.save_weights(file)
    else:
        model.save(file)
    return str(file)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What headstart said; Keras warns of its own older format besides."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("headstart")]


def refusal(weights: str, **options) -> str:
    with pytest.raises(WeightsError) as caught:
        build_network(backbone(), weights, 32, **options)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_from_a_file_are_loaded(tmp_path, suffix):
    source = backbone().build(32)
    network = build_network(backbone(), save(source, tmp_path / f"w{suffix}"), 32)
    assert network.missing == ()
    for one, other in zip(source.get_weights(), network.model.get_weights(), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_a_file_with_a_part_of_the_layers_gives_them_by_name_and_the_others_are_named(tmp_path, suffix, caplog):
    whole = backbone().build(32)
    part = keras.Model(whole.input, whole.get_layer("conv_pw_12_relu").output)
    network = build_network(backbone(), save(part, tmp_path / f"part{suffix}"), 32)
    assert network.missing == MISSING
    assert last_complete_tap(network) == "conv_pw_12_relu"
    assert said(caplog) == [
        "the weights of mobilenet_0.25 hold nothing for conv_dw_13 to conv_pw_13_bn (4 layers), which are random. "
        "Everything up to conv_pw_12_relu is there: --tap conv_pw_12_relu leaves the rest out."
    ]
    for layer in part.layers:
        found = network.model.get_layer(layer.name).get_weights()
        assert all((one == other).all() for one, other in zip(layer.get_weights(), found, strict=True))


def test_nothing_is_missing_where_the_tap_leaves_it_out(tmp_path, caplog):
    whole = backbone().build(32)
    part = keras.Model(whole.input, whole.get_layer("conv_pw_12_relu").output)
    network = build_network(backbone(), save(part, tmp_path / "part.h5"), 32, tap="conv_pw_12_relu")
    assert network.missing == ()
    assert said(caplog) == [
        "the weights of mobilenet_0.25 hold nothing for conv_dw_13 to conv_pw_13_bn (4 layers), which lie behind "
        "the tap and are not needed."
    ]


def test_layers_that_are_missing_here_and_there_are_named_in_runs(tmp_path, caplog):
    file = tmp_path / "holes.h5"
    save(backbone().build(32), file)
    with h5py.File(file, "a") as content:
        for name in ("conv_dw_2", "conv_dw_2_bn", "conv_pw_4"):
            del content["model_weights"][name]
    with caplog.at_level(logging.INFO, "headstart"):
        network = build_network(backbone(), str(file), 32)
    assert network.missing == ("conv_dw_2", "conv_dw_2_bn", "conv_pw_4")
    assert said(caplog) == [
        f"loaded 51 of 54 layers of mobilenet_0.25 without its top from {file}",
        "the weights of mobilenet_0.25 hold nothing for conv_dw_2 to conv_dw_2_bn (2 layers), conv_pw_4, which are "
        "random. Everything up to conv_pw_1_relu is there: --tap conv_pw_1_relu leaves the rest out.",
    ]


def test_a_file_without_the_top_leaves_the_classifier_random(tmp_path):
    file = save(backbone().build(32), tmp_path / "no_top.h5")
    assert build_with_weights(backbone(), 32, file, include_top=True)[1] == ("conv_preds",)
    assert build_network(backbone(), file, 32, tap="dropout", include_top=True).missing == ()


def test_a_file_with_the_top_serves_a_network_without_it(tmp_path):
    source = backbone().build(32, include_top=True)
    network = build_network(backbone(), save(source, tmp_path / "top.h5"), 32)
    assert network.missing == ()
    name = "conv_pw_13"
    assert (network.model.get_layer(name).get_weights()[0] == source.get_layer(name).get_weights()[0]).all()


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_nested_layers_are_missed_and_found_by_name_too(tmp_path, suffix):
    convnext = find_backbone("convnext_tiny")
    whole = convnext.build(32)
    part = keras.Model(whole.input, whole.get_layer("convnext_tiny_downsampling_block_0").output)
    file = save(part, tmp_path / f"part{suffix}")
    network = build_network(convnext, file, 32, tap="convnext_tiny_downsampling_block_1")
    assert network.missing[0] == "convnext_tiny_stage_1_block_0_depthwise_conv"
    assert network.missing[-1] == "convnext_tiny_downsampling_conv_1"
    assert last_complete_tap(network) == "convnext_tiny_downsampling_block_0"
    stem = (network.model.get_layer("convnext_tiny_stem"), part.get_layer("convnext_tiny_stem"))
    assert (stem[0].get_weights()[0] == stem[1].get_weights()[0]).all()


def test_weights_of_another_shape_are_refused_with_the_layer_and_both_shapes(tmp_path):
    file = save(find_backbone("mobilenet_0.5").build(32), tmp_path / "other.weights.h5")
    assert refusal(file) == (
        f"{file} does not fit mobilenet_0.25 without its top: expected 54 layers with 218,544 values; "
        "found 54 layers with 829,536 values. conv1 takes 3x3x3x8, the file has 3x3x3x16, and 53 more layers differ."
    )


def test_weights_of_another_network_are_refused(tmp_path):
    file = save(find_backbone("vgg16").build(32), tmp_path / "other.h5")
    assert "No name in it is that of a layer of the network." in refusal(file)


def test_a_refused_or_partial_file_leaves_no_layer_half_loaded(tmp_path):
    whole = backbone().build(32)
    part = keras.Model(whole.input, whole.get_layer("conv_pw_12_relu").output)
    file = save(part, tmp_path / "part.weights.h5")
    network = build_network(backbone(), file, 32)
    np.testing.assert_array_equal(network.model.get_layer("conv_pw_13_bn").get_weights()[0], np.ones(256))
    assert (network.model.get_layer("conv_pw_13").get_weights()[0] != whole.get_layer("conv_pw_13").kernel).any()


@pytest.mark.parametrize("name", ["x.h5", "x.keras", "x.weights.h5", "x"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    assert f"{name} does not fit mobilenet_0.25 without its top" in refusal(str(tmp_path / name))


def test_what_keras_says_of_a_download_does_not_mix_with_results(capsys):
    def chatty(**options):
        print("Downloading data from https://example.org")
        return keras.applications.MobileNet(alpha=0.25, **options | {"weights": None})

    build_network(Backbone(NAME, chatty, 224), "imagenet", 32)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "Downloading data from https://example.org\n"


def test_imagenet_weights_that_cannot_be_fetched_say_where_to_put_the_file(monkeypatch, tmp_path):
    address = "https://example.org/keras/mobilenet_2_5_224_tf_no_top.h5"

    def offline(**_):
        raise Exception(f"URL fetch failure on {address}: None -- [Errno -2] Name or service not known")

    offline_backbone = Backbone(NAME, offline, 224)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        build_network(offline_backbone, "imagenet", 224)
    assert str(caught.value) == (
        "the ImageNet weights of mobilenet_0.25 are not here and cannot be fetched. Where there is a network, "
        f"download {address} and put it into {tmp_path}/models as mobilenet_2_5_224_tf_no_top.h5; "
        "or take --backbone nano, which comes with headstart, --weights FILE, or --weights none for random ones."
    )


def test_real_weights_up_to_the_last_block_are_loaded_and_their_tap_works(shared):
    file = shared / "keras" / "partial" / "mobilenet_1_0_224_tf_no_top_to_conv_pw_12.h5"
    mobilenet = find_backbone("mobilenet")
    network = build_network(mobilenet, str(file), 224)
    assert network.missing == MISSING
    tap = last_complete_tap(network)
    assert tap == "conv_pw_12_relu"
    cut = build_network(mobilenet, str(file), 224, tap=tap)
    assert cut.missing == ()
    plain = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(224, 224, 3))
    plain.load_weights(file, by_name=True)
    plain = keras.Model(plain.input, plain.get_layer(tap).output)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(cut.model(x, training=False), plain(x, training=False), atol=1e-5)
