"""Blocks as people know them, found in the graph alone."""

import pytest

from headstart.errors import RecipeError
from headstart.models.backbones import find_backbone
from headstart.models.blocks import blocks, find_block

SIDES = {"inception_v3": 75}
BACKBONES = [
    *("mobilenet", "mobilenet_v2", "resnet50", "resnet50_v2", "inception_v3"),
    *("efficientnet_v2_b0", "convnext_tiny", "densenet121"),
]


@pytest.fixture(scope="module")
def network():
    built = {}

    def build(name):
        if name not in built:
            built[name] = find_backbone(name).build(SIDES.get(name, 32))
        return built[name]

    return build


@pytest.mark.parametrize("name", BACKBONES)
def test_every_layer_is_in_one_block_and_every_parameter_counted_once(network, name):
    model = network(name)
    found = blocks(model)
    assert [n for block in found for n in range(block.first, block.last + 1)] == list(range(len(model.layers)))
    assert sum(block.parameters for block in found) == model.count_params()
    assert [block.name for block in found] == [model.layers[block.last].name for block in found]


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("mobilenet", 27, ["conv_dw_12_relu", "conv_pw_12_relu", "conv_dw_13_relu", "conv_pw_13_relu"]),
        ("mobilenet_v2", 32, ["block_16_expand_relu", "block_16_depthwise_relu", "block_16_project_BN", "out_relu"]),
        ("resnet50", 17, ["conv4_block6_out", "conv5_block1_out", "conv5_block2_out", "conv5_block3_out"]),
        ("resnet50_v2", 18, ["conv5_block1_out", "conv5_block2_out", "conv5_block3_out", "post_relu"]),
        ("inception_v3", 16, ["mixed7", "mixed8", "mixed9", "mixed10"]),
        ("efficientnet_v2_b0", 34, ["block6f_add", "block6g_add", "block6h_add", "top_activation"]),
        (
            "convnext_tiny",
            23,
            [*(f"convnext_tiny_stage_3_block_{n}_identity" for n in range(3)), "layer_normalization"],
        ),
        ("densenet121", 63, ["conv5_block14_concat", "conv5_block15_concat", "conv5_block16_concat", "relu"]),
    ],
)
def test_blocks_are_named_by_their_last_layers(network, name, count, last):
    names = [block.name for block in blocks(network(name))]
    assert len(names) == count
    assert names[-4:] == last


@pytest.mark.parametrize(
    ("name", "block", "first_layer"),
    [
        ("inception_v3", "mixed10", "conv2d_89"),
        ("inception_v3", "mixed9", "conv2d_80"),
        ("resnet50", "conv5_block3_out", "conv5_block3_1_conv"),
        ("resnet50", "conv5_block3", "conv5_block3_1_conv"),
        ("resnet50", "conv5", "conv5_block1_1_conv"),
        ("resnet50_v2", "conv5_block3", "conv5_block3_preact_bn"),
        ("mobilenet", "conv_dw_8", "conv_dw_8"),
        ("mobilenet", "conv_dw_12", "conv_pad_12"),
        ("mobilenet", "conv_pw_1", "conv_pw_1"),
        ("mobilenet_v2", "block_13", "block_13_expand"),
        ("mobilenet_v2", "block_12", "block_12_expand"),
        ("mobilenet_v2", "block_13_depthwise", "block_13_pad"),
        ("efficientnet_v2_b0", "block6h", "block6h_expand_conv"),
        ("convnext_tiny", "convnext_tiny_stem", "input_layer"),
        ("convnext_tiny", "convnext_tiny_downsampling_block_2", "convnext_tiny_downsampling_block_2"),
        ("convnext_tiny", "convnext_tiny_stage_3", "convnext_tiny_stage_3_block_0_depthwise_conv"),
        ("densenet121", "pool4", "pool4_bn"),
        ("densenet121", "conv5_block16", "conv5_block16_0_bn"),
    ],
)
def test_a_block_is_found_by_its_name_or_the_common_beginning_of_its_layers(network, name, block, first_layer):
    model = network(name)
    assert model.layers[find_block(model, block, "").first].name == first_layer


def test_normalisation_after_pooling_belongs_to_the_block_behind(network):
    model = network("resnet50_v2")
    assert model.layers[find_block(model, "conv2_block1", "").first].name == "conv2_block1_preact_bn"


def test_a_block_that_does_not_exist_is_refused_with_the_nearest_ones(network):
    with pytest.raises(RecipeError) as caught:
        find_block(network("inception_v3"), "mixed11", "unfreeze 'block:mixed11'")
    assert str(caught.value) == (
        "unfreeze 'block:mixed11': inception_v3 has no 'mixed11'; did you mean mixed1 or mixed10 or mixed9?"
    )
    with pytest.raises(RecipeError) as caught:
        find_block(network("inception_v3"), "conv2d_93", "unfreeze 'block:conv2d_93'")
    assert str(caught.value) == (
        "unfreeze 'block:conv2d_93': inception_v3 has no 'conv2d_93'; "
        "`headstart layers inception_v3` lists what there is."
    )
