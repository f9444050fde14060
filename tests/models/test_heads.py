"""Heads as they are written, on one network and on several."""

import keras
import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.heads import add_head
from headstart.specs import parse_head

MAPS = (2, 2, 6)
VECTOR = (6,)


def model_of(spec: str, *shapes: tuple[int, ...], classes: int = 4, output: str = "softmax") -> keras.Model:
    features = [keras.Input(shape) for shape in shapes or (MAPS,)]
    return keras.Model(features, add_head(features, parse_head(spec), classes, output))


def head_layers(spec: str, *shapes: tuple[int, ...]) -> list[str]:
    layers = model_of(spec, *shapes).layers
    return [layer.name for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("linear", ["pooled", "classifier"]),
        ("auto", ["pooled", "classifier"]),
        ("kernel:20", ["pooled", "unit", "landmarks", "classifier"]),
        ("dense:8,dropout:0.2, dense:5", ["pooled", "head_dense_1", "head_dropout_2", "head_dense_3", "classifier"]),
        ("flatten,dense:8", ["head_flatten_1", "head_dense_2", "classifier"]),
        (
            "conv:7,flatten",
            ["head_conv_1", "head_conv_1_bn", "head_conv_1_relu", "head_flatten_2", "classifier"],
        ),
        (
            "conv:7,dense:5",
            ["head_conv_1", "head_conv_1_bn", "head_conv_1_relu", "pooled", "head_dense_2", "classifier"],
        ),
    ],
)
def test_a_head_has_the_layers_that_were_asked_for_under_names_that_stay(spec, expected):
    assert head_layers(spec) == expected


def test_vectors_are_not_pooled():
    assert head_layers("linear", VECTOR) == ["classifier"]
    assert head_layers("dense:8", VECTOR) == ["head_dense_1", "classifier"]


def test_features_of_several_networks_are_pooled_and_fused():
    assert head_layers("linear", MAPS, VECTOR) == ["pooled_1", "fused", "classifier"]
    assert model_of("linear", MAPS, VECTOR).get_layer("classifier").kernel.shape == (12, 4)


@pytest.mark.parametrize("spec", ["linear", "kernel:9", "conv:7,flatten,dense:5"])
def test_all_kernels_begin_he_normal(spec):
    kernels = [layer for layer in model_of(spec).layers if hasattr(layer, "kernel_initializer")]
    assert len(kernels) >= 1
    assert all(isinstance(layer.kernel_initializer, keras.initializers.HeNormal) for layer in kernels)


def test_a_kernel_head_gives_the_exponential_of_similarities():
    model = model_of("kernel:3", VECTOR)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    landmarks = model.get_layer("landmarks")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.exp(unit @ np.asarray(landmarks.kernel))
    found = keras.Model(model.input, landmarks.output)([x])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sigmoid_is_one_unit_and_softmax_one_for_each_class_both_in_32_bits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        sigmoid, softmax = model_of("linear", classes=2, output="sigmoid"), model_of("linear", classes=2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert sigmoid.output_shape == (None, 1)
    assert softmax.output_shape == (None, 2)
    assert sigmoid.get_layer("classifier").activation is keras.activations.sigmoid
    assert {sigmoid.get_layer("classifier").compute_dtype, softmax.get_layer("classifier").compute_dtype} == {"float32"}


@pytest.mark.parametrize(
    ("spec", "shapes", "classes", "output", "problem"),
    [
        (
            "linear",
            [MAPS],
            3,
            "sigmoid",
            "output sigmoid tells two classes apart; there are 3. Leave it out for softmax.",
        ),
        (
            "conv:8",
            [MAPS, MAPS],
            3,
            "softmax",
            "head 'conv:8' takes the maps of one backbone; those of 2 are pooled first.",
        ),
        (
            "flatten",
            [VECTOR],
            3,
            "softmax",
            "head 'flatten' takes feature maps; the network ends in a vector of 6 values.",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_refused(spec, shapes, classes, output, problem):
    with pytest.raises(RecipeError) as caught:
        model_of(spec, *shapes, classes=classes, output=output)
    assert str(caught.value) == problem


def test_all_that_does_not_fit_is_named_at_once():
    with pytest.raises(RecipeError) as caught:
        model_of("flatten", VECTOR, classes=3, output="sigmoid")
    assert len(caught.value.problems) == 2


def test_a_head_on_an_assembled_network_comes_after_its_features():
    network = build_network(find_backbone("mobilenet_0.25"), "none", 32)
    model = assemble([network], 32, parse_head("dense:8"), 4)
    assert model.output_shape == (None, 4)
    assert model.get_layer("mobilenet_0.25") is network.model
    assert [layer.name for layer in model.layers][-3:] == ["pooled", "head_dense_1", "classifier"]
