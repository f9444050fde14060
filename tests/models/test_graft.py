"""Weights of finished runs in models that were freshly assembled."""

import keras
import pytest

from headstart.errors import RunError
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.cut import join, split
from headstart.models.freeze import Freezer
from headstart.models.graft import continue_from, graft_head
from headstart.specs import parse_head


def model(head: str = "dense:8", classes: int = 3, name: str = "mobilenet_0.25") -> keras.Model:
    return assemble([build_network(find_backbone(name), "none", 32)], 32, parse_head(head), classes)


def finished(nested: bool, **options) -> keras.Model:
    """A model as a RUN has it: joined from its halves and flat, or nested."""
    whole = model(**options)
    if nested:
        return whole
    network = whole.get_layer(options.get("name", "mobilenet_0.25"))
    Freezer(network).apply(len(network.layers), "frozen")
    return join(split(whole))


def same(one: keras.layers.Layer, other: keras.layers.Layer) -> bool:
    return all((a == b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("nested", [True, False])
def test_a_head_is_grafted_by_name_and_the_network_stays_as_it_is(nested):
    saved, fresh = finished(nested), model()
    before = fresh.get_layer("mobilenet_0.25").get_weights()
    assert graft_head(fresh, saved) == (["head_dense_1", "classifier"], [])
    assert same(fresh.get_layer("classifier"), saved.get_layer("classifier"))
    after = fresh.get_layer("mobilenet_0.25").get_weights()
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


def test_layers_that_do_not_fit_are_named_with_the_reason():
    saved, fresh = finished(True, head="dense:8", classes=5), model("dense:8,dense:6", classes=5)
    assert graft_head(fresh, saved) == (
        ["head_dense_1"],
        ["head_dense_2 (not in the run)", "classifier (8x5 and 5 in the run, 6x5 and 5 here)"],
    )


@pytest.mark.parametrize("nested", [True, False])
def test_a_finished_model_is_continued_with_all_its_weights(nested):
    saved, fresh = finished(nested), model()
    continue_from(fresh, saved)
    network = fresh.get_layer("mobilenet_0.25")
    source = saved.get_layer("mobilenet_0.25") if nested else saved
    for layer in network.layers:
        assert not layer.weights or same(layer, source.get_layer(layer.name))
    assert same(fresh.get_layer("classifier"), saved.get_layer("classifier"))


def test_a_network_whose_layers_keras_numbers_is_continued_too():
    saved, fresh = (model("linear", name="efficientnet_b0") for _ in range(2))
    continue_from(fresh, saved)
    assert same(fresh.get_layer("efficientnet_b0"), saved.get_layer("efficientnet_b0"))


def test_a_model_that_does_not_fit_is_refused_with_every_layer_and_left_as_it_was():
    saved, fresh = finished(True, head="dense:8"), model("linear")
    before = fresh.get_weights()
    with pytest.raises(RunError) as caught:
        continue_from(fresh, saved)
    assert str(caught.value) == (
        "the run's model does not have the layers of this recipe: classifier (8x3 and 3 in the run, 256x3 and 3 here), "
        "head_dense_1 (only in the run). "
        "Give the backbone, tap, image size, head and classes that the run was made with."
    )
    assert all((one == other).all() for one, other in zip(before, fresh.get_weights(), strict=True))
