"""headstart layers: what it lists and what it draws."""

import json

import pytest
from click.testing import CliRunner

from headstart.cli.layers import layers
from headstart.errors import RecipeError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(layers, ["mobilenet_0.25", "--image-size", "64", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_layers_lists_number_name_type_shape_parameters_cost_and_block():
    content = json.loads(run("--json"))
    assert content["feature_width"] == 256
    assert content["parameters"] == 218_544
    assert "frontier" not in content
    assert content["layers"][-1] == {
        "number": 85,
        "name": "conv_pw_13_relu",
        "type": "ReLU",
        "output_shape": [2, 2, 256],
        "parameters": 0,
        "bytes_per_picture": 2 * 2 * 256 * 4,
        "block": "conv_pw_13_relu",
    }
    assert "218,544 parameters; pooled features are 256 values, 1.0 kB." in run()


def test_unfreeze_is_drawn_layer_by_layer_with_the_frontier():
    content = json.loads(run("--unfreeze", "from:conv_pw_13", "--json"))
    assert content["first_trained"] == 83
    assert content["frontier"] == [{"layer": "conv_dw_13_relu", "output_shape": [2, 2, 256]}]
    assert content["bytes_per_picture"] == 2 * 2 * 256 * 4
    assert content["trained_parameters"] == 65_536
    assert content["frozen_parameters"] == 218_544 - 65_536
    assert [row["name"] for row in content["layers"] if row["trained"]] == ["conv_pw_13"]

    lines = {line.split()[1]: line.split() for line in run("--unfreeze", "from:conv_pw_13").splitlines()[4:90]}
    assert lines["conv_dw_13"][-1] == "frozen"
    assert lines["conv_dw_13_relu"][-2:] == ["frozen,", "kept"]
    assert lines["conv_pw_13"][-1] == "trained"
    assert lines["conv_pw_13_bn"][-1] == "frozen"


def test_batchnorm_is_drawn_too():
    content = json.loads(run("--unfreeze", "none", "--batchnorm", "trainable", "--json"))
    assert content["trained_parameters"] == 2 * (218_544 - 207_600) // 4
    assert content["frontier"] == [{"layer": "conv1", "output_shape": [32, 32, 8]}]


@pytest.mark.parametrize(
    ("unfreeze", "frontier"),
    [
        ("none", "The frontier is pooled 256, 1.0 kB per picture."),
        ("all", "The frontier is pixels 64x64x3, 12.3 kB per picture."),
    ],
)
def test_the_frontier_of_nothing_and_of_everything(unfreeze, frontier):
    assert frontier in run("--unfreeze", unfreeze)


def test_a_tap_and_the_top_change_what_there_is():
    content = json.loads(run("--tap", "conv_pw_12_relu", "--json"))
    assert content["layers"][-1]["name"] == "conv_pw_12_relu"
    assert json.loads(run("--include-top", "--json"))["layers"][-1]["name"] == "reshape_2"


def test_a_specification_that_cannot_be_read_is_refused():
    with pytest.raises(RecipeError) as caught:
        run("--unfreeze", "some")
    assert str(caught.value) == (
        "unfreeze 'some' is none of none, all, last:LAYERS, from:NUMBER, from:NAME, block:NAME, top:PERCENT%."
    )
