"""Networks cut at their taps, alone and side by side."""

import keras
import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.cut import join, split
from headstart.models.freeze import Freezer
from headstart.models.layers import leaves
from headstart.specs import parse_head

SIDE = 32


def network(name: str, **options):
    return build_network(find_backbone(name), "none", SIDE, **options)


def run(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize("tap", ["conv_pw_6_relu", "42", "-44"])
def test_a_tap_is_a_name_or_a_number_and_what_lies_behind_it_is_gone(tap):
    model = network("mobilenet_0.25", tap=tap).model
    whole = find_backbone("mobilenet_0.25").build(SIDE)
    assert [layer.name for layer in model.layers] == [layer.name for layer in whole.layers[:43]]
    assert model.output_shape == (None, 2, 2, 128)


def test_a_cut_network_shares_weights_and_gives_what_the_whole_gives_there():
    cut = network("mobilenet_v2", tap="block_6_expand_relu").model
    whole = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    whole = keras.Model(whole.input, whole.get_layer("block_6_expand_relu").output)
    whole.set_weights(cut.get_weights())
    np.testing.assert_allclose(run(cut, pictures()), run(whole, pictures()), atol=1e-5)


def test_without_a_tap_a_network_with_its_top_ends_before_its_last_layer():
    model = network("mobilenet_v2", include_top=True).model
    assert isinstance(model.layers[-1], keras.layers.GlobalAveragePooling2D)
    assert model.output_shape == (None, 1280)
    assert network("vgg16", include_top=True).model.layers[-1].name == "fc2"


def test_a_tap_inside_a_block_leaves_the_layers_beside_it_out():
    names = [layer.name for layer in network("resnet50", tap="conv2_block1_0_bn").model.layers]
    assert names[-2:] == ["conv2_block1_0_conv", "conv2_block1_0_bn"]
    assert "conv2_block1_1_conv" not in names


@pytest.mark.parametrize(
    ("tap", "problem"),
    [
        (
            "conv_pw_14",
            "tap 'conv_pw_14': mobilenet_0.25 has no 'conv_pw_14'; did you mean conv_pw_4 or conv_pw_1 or conv_pw_13?",
        ),
        ("86", "tap '86': the layers of mobilenet_0.25 are numbered from 0 to 85, from the end -1 to -86."),
    ],
)
def test_a_tap_that_does_not_exist_is_refused(tap, problem):
    with pytest.raises(RecipeError) as caught:
        network("mobilenet_0.25", tap=tap)
    assert str(caught.value) == problem


def test_several_networks_see_the_same_pixels_each_with_its_own_preprocessing():
    first, second = network("mobilenet_0.25"), network("resnet50", tap="conv2_block3_out")
    alone = []
    for one in (first, second):
        inputs = keras.Input((SIDE, SIDE, 3))
        features = keras.layers.GlobalAveragePooling2D()(one.model(one.backbone.preprocess(inputs)))
        alone.append(run(keras.Model(inputs, features), pictures()))
    model = assemble([first, second], SIDE, parse_head("linear"), 3)
    fused = keras.Model(model.input, model.get_layer("fused").output)
    np.testing.assert_allclose(run(fused, pictures()), np.hstack(alone), rtol=1e-4, atol=1e-5)


def test_two_networks_of_one_family_are_cut_inside_and_saved_like_one(tmp_path):
    networks = [network("mobilenet_0.25"), network("mobilenet_0.5")]
    model = assemble(networks, SIDE, parse_head("linear"), 3)
    names = [leaf.name for leaf in leaves(model)]
    assert len(names) == len(set(names))
    assert "mobilenet_0.25_conv_pw_13" in names
    for one in networks:
        Freezer(one.model).apply(80, "frozen")
    expected = run(model, pictures())
    parts = split(model)
    assert parts.frontier == ((1, 1, 256), (1, 1, 512))
    joined = join(parts)
    np.testing.assert_allclose(run(joined, pictures()), expected, atol=1e-5)
    joined.save(tmp_path / "joined.keras")
    np.testing.assert_allclose(run(keras.saving.load_model(tmp_path / "joined.keras"), pictures()), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(run(keras.saving.load_model(tmp_path / "model.keras"), pictures()), expected, atol=1e-5)


def test_networks_whose_graph_has_operations_that_are_no_layers_stand_side_by_side_too():
    networks = [network("convnext_tiny", tap="convnext_tiny_stage_1_block_0_identity"), network("mobilenet_0.25")]
    networks.append(network("convnext_small", tap="convnext_small_stage_1_block_0_identity"))
    model = assemble(networks, SIDE, parse_head("linear"), 3)
    for one in networks:
        Freezer(one.model).apply(len(one.model.layers), "frozen")
    parts = split(model)
    assert [len(shape) for shape in parts.frontier] == [1]
    np.testing.assert_allclose(run(join(parts), pictures()), run(model, pictures()), atol=1e-5)


def test_assembling_again_does_not_rename_again():
    networks = [network("mobilenet_0.25"), network("mobilenet_0.5")]
    names = [[leaf.name for leaf in leaves(assemble(networks, SIDE, parse_head("linear"), 3))] for _ in range(2)]
    assert names[0] == names[1]
