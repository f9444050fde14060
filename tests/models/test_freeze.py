"""What is unfrozen, and that freezing can be taken back."""

import json

import keras
import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.models.assemble import Network, assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.cut import split
from headstart.models.freeze import Freezer, first_trainable
from headstart.models.layers import leaves
from headstart.specs import parse_head, parse_unfreeze

SMALL = 32


def count(weights) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def network(name: str, side: int = SMALL, **options) -> Network:
    return build_network(find_backbone(name), "none", side, **options)


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return network("mobilenet_0.25").model


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        *(("none", 86), ("all", 0), ("last:34", 52), ("last:86", 0), ("from:55", 55), ("from:-1", 85), ("from:-86", 0)),
        *(("from:conv_dw_9", 55), ("block:conv_dw_9", 55), ("top:100%", 1), ("top:0.4%", 84), ("top:1%", 83)),
    ],
)
def test_the_first_trained_layer_is_the_one_that_is_meant(mobilenet, spec, number):
    assert first_trainable(mobilenet, parse_unfreeze(spec)) == number


@pytest.mark.parametrize("percent", [1, 10, 20, 50, 90])
def test_top_is_the_smallest_tail_that_holds_the_share(mobilenet, percent):
    first = first_trainable(mobilenet, parse_unfreeze(f"top:{percent}%"))
    held = [sum(layer.count_params() for layer in mobilenet.layers[n:]) for n in (first, first + 1)]
    assert held[0] >= percent / 100 * mobilenet.count_params() > held[1]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("last:87", "unfreeze 'last:87': mobilenet_0.25 has 86 layers; last takes 1 to 86 of them."),
        (
            "from:86",
            "unfreeze 'from:86': the layers of mobilenet_0.25 are numbered from 0 to 85, from the end -1 to -86.",
        ),
        (
            "from:-87",
            "unfreeze 'from:-87': the layers of mobilenet_0.25 are numbered from 0 to 85, from the end -1 to -86.",
        ),
        (
            "from:conv_pw_14",
            "unfreeze 'from:conv_pw_14': mobilenet_0.25 has no 'conv_pw_14'; "
            "did you mean conv_pw_4 or conv_pw_1 or conv_pw_13?",
        ),
        (
            "from:xyz",
            "unfreeze 'from:xyz': mobilenet_0.25 has no 'xyz'; `headstart layers mobilenet_0.25` lists what there is.",
        ),
    ],
)
def test_layers_that_do_not_exist_are_refused_with_those_that_do(mobilenet, spec, problem):
    with pytest.raises(RecipeError) as caught:
        first_trainable(mobilenet, parse_unfreeze(spec))
    assert str(caught.value) == problem


def test_inception_without_its_top_and_one_sigmoid_unit_has_the_parameters_of_notebook_002():
    whole = network("inception_v3", 75)
    Freezer(whole.model).apply(len(whole.model.layers), "frozen")
    model = assemble([whole], 75, parse_head("linear"), 2, "sigmoid")
    assert count(model.trainable_weights) == 2_049
    assert count(model.non_trainable_weights) == 21_802_784


def test_mobilenet_v2_from_113_on_trains_what_plain_keras_trains_in_notebook_001():
    plain = keras.applications.MobileNetV2(include_top=True, weights=None)
    assert plain.layers[113].name == "block_12_project"
    for layer in plain.layers[:113]:
        layer.trainable = False
    plain = keras.Model(plain.input, keras.layers.Dense(1, "sigmoid")(plain.layers[-2].output))

    ours = network("mobilenet_v2", 224, include_top=True)
    assert ours.model.layers[113].name == "block_12_project"
    Freezer(ours.model).apply(first_trainable(ours.model, parse_unfreeze("from:113")), "follow")
    model = assemble([ours], 224, parse_head("linear"), 2, "sigmoid")
    assert count(model.trainable_weights) == count(plain.trainable_weights)
    assert count(model.non_trainable_weights) == count(plain.non_trainable_weights)
    assert [w.shape for w in model.trainable_weights] == [w.shape for w in plain.trainable_weights]


def test_the_frontier_of_inception_with_34_layers_unfrozen_is_the_one_that_plain_keras_implies():
    plain = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
    for layer in plain.layers[:-34]:
        layer.trainable = False
    feeders = {row["name"]: fed_by(row) for row in plain.get_config()["layers"]}
    moving: set[str] = set()
    for layer in plain.layers:
        if layer.trainable_weights or moving & feeders[layer.name]:
            moving.add(layer.name)
    crossing = {name for layer in moving for name in feeders[layer] - moving}
    pooling = next(name for name in crossing if name.startswith("average_pooling2d"))
    # Pooling has no weights: what it makes follows from the other tensor and need not be kept.
    assert crossing == {"mixed9", pooling}
    assert feeders[pooling] == {"mixed9"}

    ours = network("inception_v3", 75)
    Freezer(ours.model).apply(first_trainable(ours.model, parse_unfreeze("last:34")), "follow")
    frozen = split(assemble([ours], 75, parse_head("linear"), 2)).frozen
    assert frozen.get_config()["output_layers"][0] == "mixed9"


def fed_by(row: dict) -> set[str]:
    """The names of the layers that a layer of a functional model's configuration takes its inputs from."""
    text = json.dumps(row["inbound_nodes"])
    return {part.split('"')[1] for part in text.split('"keras_history": [')[1:]}


def small_network() -> keras.Model:
    """Convolutions, normalisation and dropout, some of them in a nested model."""
    inside = keras.Input((8, 8, 4))
    x = keras.layers.BatchNormalization(name="norm_1")(keras.layers.Conv2D(4, 1, name="conv_1")(inside))
    nested = keras.Model(inside, keras.layers.Dropout(0.3, name="drop_1")(x), name="nested")
    inputs = keras.Input((8, 8, 3), name="pictures")
    x = keras.layers.BatchNormalization(name="norm_0")(keras.layers.Conv2D(4, 1, name="conv_0")(inputs))
    x = nested(keras.layers.Dropout(0.2, name="drop_0")(x))
    x = keras.layers.LayerNormalization(name="norm_2")(keras.layers.Conv2D(4, 1, name="conv_2")(x))
    return keras.Model(inputs, keras.layers.Dropout(0.4, name="drop_2")(x))


def trained(model: keras.Model) -> set[str]:
    """The names of the layers whose weights Keras would train."""
    variables = {id(variable) for variable in model.trainable_variables}
    return {leaf.name for leaf in leaves(model) if any(id(variable) in variables for variable in leaf.weights)}


def rates(model: keras.Model) -> list[float]:
    return [leaf.rate for leaf in leaves(model) if isinstance(leaf, keras.layers.Dropout)]


def test_freezing_is_taken_back_as_often_as_wanted():
    model = small_network()
    freezer = Freezer(model)
    everything = {"conv_0", "norm_0", "conv_1", "norm_1", "conv_2", "norm_2"}
    for _ in range(2):
        freezer.apply(len(model.layers), "frozen")
        assert trained(model) == set()
        assert rates(model) == [0, 0, 0]
        assert not model.trainable
        freezer.apply(4, "follow")
        assert trained(model) == everything - {"conv_0", "norm_0"}
        assert rates(model) == [0, 0.3, 0.4]
        freezer.apply(0, "follow")
        assert trained(model) == everything
        assert rates(model) == [0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("batchnorm", "expected"),
    [
        ("frozen", {"conv_1", "conv_2", "norm_2"}),
        ("adapt", {"conv_1", "conv_2", "norm_2"}),
        ("follow", {"conv_1", "norm_1", "conv_2", "norm_2"}),
        ("trainable", {"norm_0", "conv_1", "norm_1", "conv_2", "norm_2"}),
    ],
)
def test_batch_normalisation_is_trained_as_told_and_layer_normalisation_follows_its_layer(batchnorm, expected):
    model = small_network()
    Freezer(model).apply(4, batchnorm)
    assert trained(model) == expected
    split(model)  # refuses a model whose own `trainable` contradicts its layers


def test_all_batch_normalisation_of_a_frozen_network_can_be_trained_also_where_it_is_nested():
    model = small_network()
    Freezer(model).apply(len(model.layers), "trainable")
    assert trained(model) == {"norm_0", "norm_1"}
    split(model)


def test_a_frozen_network_gives_in_training_what_it_gives_at_inference():
    model = small_network()
    Freezer(model).apply(len(model.layers), "frozen")
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    before = [array.copy() for array in model.get_weights()]
    np.testing.assert_allclose(model(x, training=True), model(x, training=False))
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
