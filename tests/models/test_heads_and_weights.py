"""Heads as they are written, and weights that fit or are refused with what was expected and found."""

import keras
import pytest

from headstart.errors import RecipeError, WeightsError
from headstart.models.assemble import assemble
from headstart.models.backbones import find_backbone
from headstart.models.weights import build_with_weights
from headstart.recipe import parse_head


def head_layers(spec: str) -> list[tuple[str, object]]:
    model = assemble(find_backbone("mobilenet_0.25"), "none", 32, parse_head(spec), 4)
    layers = model.layers[model.layers.index(model.get_layer("pooled")) + 1 :]
    return [(type(layer).__name__, getattr(layer, "units", getattr(layer, "rate", None))) for layer in layers]


def test_a_linear_head_is_one_layer():
    assert head_layers("linear") == [("Dense", 4)]


def test_a_stack_is_what_it_says_and_starts_from_he_normal():
    assert head_layers("dense:400,dropout:0.2, dense:100") == [
        ("Dense", 400),
        ("Dropout", 0.2),
        ("Dense", 100),
        ("Dense", 4),
    ]
    model = assemble(find_backbone("mobilenet_0.25"), "none", 32, parse_head("dense:8"), 4)
    assert isinstance(model.get_layer("head_dense_1").kernel_initializer, keras.initializers.HeNormal)


def test_parameters_are_counted_as_in_the_notebooks():
    model = assemble(find_backbone("inception_v3"), "none", 75, parse_head("linear"), 1)
    assert sum(w.size for w in map(keras.ops.convert_to_numpy, model.trainable_weights)) == 2_049
    assert sum(w.size for w in map(keras.ops.convert_to_numpy, model.non_trainable_weights)) == 21_802_784


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("dens:40", "head 'dens:40': unknown layer 'dens'; did you mean dense?"),
        ("dense:0", "head 'dense:0': 'dense:0' should be dense:UNITS with a whole number from 1 to 65536."),
        ("dense", "head 'dense': 'dense' should be dense:UNITS with a whole number from 1 to 65536."),
        ("dense:inf", "head 'dense:inf': 'dense:inf' should be dense:UNITS with a whole number from 1 to 65536."),
        (
            "linear,dense:3",
            "head 'linear,dense:3': linear stands alone; the classifier after other layers is added by itself.",
        ),
        ("dropout:1", "head 'dropout:1': 'dropout:1' should be dropout:SHARE with a number from 0 to below 1."),
        ("", "head '': unknown layer ''; valid are: dense, dropout, linear."),
    ],
)
def test_a_head_that_cannot_be_read_is_refused(spec, problem):
    with pytest.raises(RecipeError) as caught:
        parse_head(spec)
    assert str(caught.value) == problem


def test_all_problems_of_a_head_are_named_at_once():
    with pytest.raises(RecipeError) as caught:
        parse_head("dense:x,drop:1")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_from_a_file_are_loaded(tmp_path, suffix):
    backbone = find_backbone("mobilenet_0.25")
    source = backbone.build(32)
    file = tmp_path / f"w{suffix}"
    if suffix == ".weights.h5":
        source.save_weights(file)
    else:
        source.save(file)
    loaded = build_with_weights(backbone, 32, str(file))
    for one, other in zip(source.get_weights(), loaded.get_weights(), strict=True):
        assert (one == other).all()


def test_weights_of_another_network_are_refused_with_what_was_expected_and_found(tmp_path):
    find_backbone("mobilenet_0.5").build(32).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError) as caught:
        build_with_weights(find_backbone("mobilenet_0.25"), 32, str(tmp_path / "other.weights.h5"))
    message = str(caught.value)
    assert "other.weights.h5 does not fit mobilenet_0.25 without its top: expected 54 layers with 218,544" in message
    assert "found 54 layers with 829,536 values" in message


@pytest.mark.parametrize("name", ["x.h5", "x.keras", "x.weights.h5", "x"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="does not fit mobilenet_0.25"):
        build_with_weights(find_backbone("mobilenet_0.25"), 32, str(tmp_path / name))


def test_imagenet_weights_that_cannot_be_fetched_say_where_to_put_the_file(monkeypatch, tmp_path):
    address = "https://example.org/keras/mobilenet_2_5_224_tf_no_top.h5"

    def offline(**_):
        raise Exception(f"URL fetch failure on {address}: None -- [Errno -2] Name or service not known")

    backbone = find_backbone("mobilenet_0.25")
    offline_backbone = type(backbone)(backbone.name, offline, backbone.size, backbone.options)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        build_with_weights(offline_backbone, 224, "imagenet")
    assert str(caught.value) == (
        "the ImageNet weights of mobilenet_0.25 are not here and cannot be fetched. Where there is a network, "
        f"download {address} and put it into {tmp_path}/models as mobilenet_2_5_224_tf_no_top.h5; "
        "or give --weights FILE, or --weights none for random ones."
    )
