"""Layers by name and number, Eigen-CAM, receptive fields, maps by depth."""

import cv2
import keras
import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.explaining.depth import in_depth, stages
from headstart.explaining.eigencam import EigenCam, principal
from headstart.explaining.inside import Inside, scaled
from headstart.explaining.receptive import Field, receptive_field
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.specs import HeadSpec
from tests.explaining.conftest import averaged, build, pixels


class Opened:
    """As much of a RUN as `Inside` looks at."""

    def __init__(self, model: keras.Model, backbone: str = "small"):
        self.model = model
        self.about = {"recipe": {"backbone": backbone}}


@pytest.fixture(scope="module")
def small() -> Inside:
    return Inside(Opened(build(averaged)))


def test_layers_have_the_numbers_that_headstart_layers_gives_them():
    network = build_network(find_backbone("nano"), "none", 32)
    numbered = [layer.name for layer in network.model.layers]
    inside = Inside(Opened(assemble([network], 32, HeadSpec("linear"), 2), "nano"))
    flat = Inside(Opened(flattened(inside.model), "nano"))
    assert [layer.name for layer in flat.layers][1 : len(numbered)] == numbered[1:]
    assert flat.layer("7").name == numbered[7]
    assert flat.layer("-3").name == "features_relu"


def flattened(model: keras.Model) -> keras.Model:
    """As a training saves it."""
    from headstart.models.cut import join, split

    return join(split(model))


def test_without_a_choice_it_is_the_last_layer_with_a_map(small):
    assert small.layer(None).name == "conv_2"
    assert [layer.name for layer in small.with_maps()] == ["conv_0", "conv_1", "conv_2"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("conv_9", "layer 'conv_9': small has no 'conv_9'; did you mean conv_2 or conv_1 or conv_0?"),
        ("zebra", "layer 'zebra': small has no 'zebra'; `headstart layers small` lists what there is."),
        ("17", "layer '17': the layers of small are numbered from 0 to 5, from the end -1 to -6."),
        ("pooled", "layer 'pooled': pooled gives 12, which is no map; the last map is conv_2's."),
        ("0", "layer '0': pixels gives 32x32x3, which is no map; the last map is conv_2's."),
    ],
)
def test_a_layer_that_cannot_be_shown_is_refused_with_what_can(small, place, message):
    with pytest.raises(RecipeError) as error:
        small.layer(place)
    assert str(error.value) == message


def test_the_principal_direction_is_that_of_the_largest_eigenvalue():
    maps = np.random.default_rng(1).normal(0.5, 1, (3, 4, 5, 6)).astype(np.float32)
    found = principal(maps)
    for one, heat in zip(maps.reshape(3, 20, 6).astype(float), found, strict=True):
        along = one @ np.linalg.eigh(one.T @ one)[1][:, -1]
        along = np.maximum(along * np.sign(along.sum()), 0).reshape(4, 5)
        np.testing.assert_allclose(heat, along / along.max(), atol=1e-4)


def test_eigen_cam_asks_about_no_class(small):
    look = EigenCam(small, small.layer("conv_1"))
    shown = pixels(3)
    np.testing.assert_array_equal(look(shown, np.zeros(3, int)), look(shown, np.ones(3, int)))
    assert look(shown, np.zeros(3, int)).shape == (3, 8, 8)


def test_maps_without_anything_above_zero_are_all_zeros():
    maps = np.stack([np.full((2, 2), -3.0), [[1.0, -1.0], [4.0, 0.0]]])
    np.testing.assert_array_equal(scaled(maps), [np.zeros((2, 2)), [[0.25, 0], [1, 0]]])


def test_receptive_fields_grow_by_kernels_times_strides(small):
    fields = [receptive_field(small.model, small.layer(f"conv_{number}")) for number in range(3)]
    assert fields == [Field(3, 2), Field(7, 4), Field(15, 8)]


def test_the_receptive_field_of_mobilenet_is_the_known_one():
    model = find_backbone("mobilenet").build(64)
    assert receptive_field(model, model.get_layer("conv_pw_13_relu")) == Field(315, 32)


def test_the_receptive_field_is_where_pixels_matter(small):
    layer = small.layer("conv_2")
    give, field = small.giving([layer], 1), receptive_field(small.model, layer)
    shown = pixels(1)
    matters = []
    for column in range(32):
        changed = shown.copy()
        changed[:, :, column] ^= 255
        before, after = (give(picture)[0][0, :, 1] for picture in (shown, changed))
        if not np.allclose(before, after):
            matters.append(column)
    assert matters[-1] - matters[0] + 1 <= field.size
    assert matters == list(range(matters[0], matters[-1] + 1))


def test_depth_shows_the_last_layer_of_every_size(small):
    shown = pixels(1)[0]
    found = stages(small, shown)
    assert [(stage.layer, stage.shape) for stage in found] == [
        ("conv_0", (16, 16, 6)),
        ("conv_1", (8, 8, 10)),
        ("conv_2", (4, 4, 12)),
    ]
    maps = small.giving([small.layer("conv_1")], 1)(shown[None])[0][0]
    assert found[1].channels[0] == cv2.blur(maps, (3, 3), borderType=cv2.BORDER_REPLICATE).std((0, 1)).argmax()
    assert found[1].maps.min() == 0
    assert found[1].maps.max() == 1
    drawn = in_depth("a picture.jpg", shown, found).pixels
    assert drawn.shape[2] == 3
    assert (drawn != 255).any()
