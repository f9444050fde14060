"""Every network of keras.applications, and nano: found, preprocessed, split, saved, run by OpenVINO or refused."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from headstart.errors import RecipeError
from headstart.features.convert import PARITY_TOLERANCE, choose_runtime
from headstart.features.store import Store
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import Backbone, backbones, find_backbone
from headstart.models.cut import fingerprint, join, layer_costs, split
from headstart.models.freeze import Freezer
from headstart.models.nano import Nano
from headstart.reporting.verdict import SUGGESTED
from headstart.specs import parse_head

# The smallest input that a network takes where that is more than the usual 32.
SMALLEST = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71}
THE_USUAL = ["mobilenet_0.25", "nano", "vgg16"]
OF_KERAS = [backbone for backbone in backbones().values() if backbone.constructor is not Nano]
THE_OTHERS = sorted(set(backbones()) - set(THE_USUAL))


def side(name: str) -> int:
    return SMALLEST.get(name, 32)


def pictures(name: str, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side(name), side(name), 3), np.uint8)


def test_no_constructor_of_keras_applications_is_missing():
    constructors = {
        function
        for function in vars(keras.applications).values()
        if inspect.isfunction(function) and function.__name__[0].isupper()
    }
    assert {backbone.constructor for backbone in backbones().values()} == constructors | {Nano}
    assert len(constructors) == 40
    assert len(backbones()) == 51


@pytest.mark.parametrize(
    ("name", "constructor"),
    [
        ("mobilenet_0.25", "MobileNet"),
        ("mobilenet_v2", "MobileNetV2"),
        ("mobilenet_v3_small", "MobileNetV3Small"),
        ("inception_v3", "InceptionV3"),
        ("inception_resnet_v2", "InceptionResNetV2"),
        ("resnet50", "ResNet50"),
        ("resnet101_v2", "ResNet101V2"),
        ("vgg16", "VGG16"),
        ("xception", "Xception"),
        ("efficientnet_b7", "EfficientNetB7"),
        ("efficientnet_v2_b0", "EfficientNetV2B0"),
        ("efficientnet_v2_s", "EfficientNetV2S"),
        ("convnext_xlarge", "ConvNeXtXLarge"),
        ("densenet121", "DenseNet121"),
        ("nasnet_mobile", "NASNetMobile"),
    ],
)
def test_names_are_those_that_people_expect(name, constructor):
    assert find_backbone(name).constructor is getattr(keras.applications, constructor)


def test_those_that_a_report_suggests_exist():
    assert set(SUGGESTED) <= set(backbones())


def test_an_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(RecipeError, match=r"^unknown backbone 'resnet5'; did you mean resnet50 or .*\?$"):
        find_backbone("resnet5")


@pytest.mark.parametrize("backbone", OF_KERAS, ids=lambda backbone: backbone.name)
def test_preprocessing_is_what_keras_does(backbone):
    module = importlib.import_module(f"keras.applications.{backbone.constructor.__module__.rpartition('.')[2]}")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3)).astype(np.float32)
    inputs = keras.Input((5, 5, 3))
    model = keras.Model(inputs, backbone.preprocess(inputs))
    found = keras.ops.convert_to_numpy(model(pixels))
    np.testing.assert_allclose(found, module.preprocess_input(pixels.copy()), rtol=1e-5, atol=1e-4)


def run(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x.astype(np.float32), training=False))


def obeys_the_laws(backbone: Backbone, folder, store: Store) -> None:
    """Law 1 at the pooled features; saved, loaded and equal; OpenVINO within tolerance, or Keras instead of it."""
    keras.utils.set_random_seed(0)
    x = pictures(backbone.name)
    network = build_network(backbone, "none", side(backbone.name))
    Freezer(network.model).apply(len(network.model.layers), "frozen")
    model = assemble([network], side(backbone.name), parse_head("linear"), 3)
    parts = split(model)
    assert parts.frontier == ((backbone.build(side(backbone.name)).output_shape[-1],),)
    assert [layer.name for layer in parts.trainable.layers] == ["frontier", "classifier"]
    expected = run(model, x)
    features = run(parts.frozen, x)
    np.testing.assert_allclose(run(parts.trainable, features), expected, atol=1e-5)

    joined = join(parts)
    joined.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    np.testing.assert_allclose(run(loaded, x), expected, atol=1e-5)
    again = split(loaded)
    assert fingerprint(again.frozen) == fingerprint(parts.frozen)

    runtime = choose_runtime(parts.frozen, fingerprint(parts.frozen), store, lambda: x, "f32")
    (found,) = runtime.load()(x)
    if runtime.converted is None:
        # With random weights the deepest EfficientNets blow rounding up: Keras does not agree with itself either.
        assert backbone.name in ("efficientnet_v2_m", "efficientnet_v2_l")
        assert found.shape == features.shape
        return
    scale = max(np.abs(features).max(), 1e-12)
    assert np.abs(found - features).max() / scale <= PARITY_TOLERANCE


@pytest.mark.parametrize("name", THE_USUAL)
def test_the_usual_ones_obey_the_laws(name, tmp_path):
    obeys_the_laws(find_backbone(name), tmp_path, Store())


@pytest.mark.slow
@pytest.mark.parametrize("name", THE_OTHERS)
def test_all_the_others_obey_the_laws(name, tmp_path):
    obeys_the_laws(find_backbone(name), tmp_path, Store())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", OF_KERAS, ids=lambda backbone: backbone.name)
def test_the_native_size_is_the_one_keras_builds_the_whole_network_for(backbone):
    model = backbone.constructor(weights=None, **backbone.options)
    # MobileNetV3 is built for any size; 224 is what its paper and its weights are for.
    any_size = (None, None, None, 3) if "mobilenet_v3" in backbone.name else None
    assert model.input_shape in ((None, backbone.size, backbone.size, 3), any_size)


def test_a_size_that_a_network_cannot_take_is_refused():
    with pytest.raises(RecipeError, match="xception cannot be built for 32x32 pictures: .*at least 71"):
        find_backbone("xception").build(32)


@pytest.mark.parametrize(
    "name", ["mobilenet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("inception_v3", "xception"))]
)
def test_layers_are_called_as_in_a_fresh_session_whatever_was_built_before(name):
    backbone = find_backbone(name)
    backbone.constructor(weights=None)
    found = [layer.name for layer in backbone.build(include_top=True).layers]
    keras.backend.clear_session()
    assert found == [layer.name for layer in backbone.constructor(weights=None).layers]


def test_imagenet_weights_of_a_classifier_are_for_one_size_only():
    with pytest.raises(RecipeError, match="resnet50 cannot be built for 96x96 pictures: .*`input_shape` should be"):
        find_backbone("resnet50").build(96, "imagenet", include_top=True)


def test_layers_are_those_of_the_notebooks():
    costs = layer_costs(find_backbone("mobilenet_v2").build())
    assert costs[113].name == "block_12_project"
    assert costs[113].output_shape == (14, 14, 96)
    assert costs[113].parameters == 55_296
    inception = find_backbone("inception_v3").build()
    assert inception.count_params() == 21_802_784


def test_the_cost_of_a_cut_counts_everything_that_crosses():
    costs = {cost.name: cost for cost in layer_costs(find_backbone("mobilenet_v2").build())}
    number = list(costs).index("block_12_project")
    assert next(iter(costs.values())).bytes_per_picture == 224 * 224 * 3  # pixels take a byte
    # What block 12 projects to, and beside it the residual that will be added.
    assert list(costs.values())[number].bytes_per_picture == 2 * 14 * 14 * 96 * 4
    assert costs["out_relu"].bytes_per_picture == 7 * 7 * 1280 * 4


def test_the_cost_of_a_nested_model_is_its_own():
    costs = {cost.name: cost for cost in layer_costs(find_backbone("convnext_tiny").build(32))}
    assert costs["convnext_tiny_prestem_normalization"].bytes_per_picture == 32 * 32 * 3 * 4
    assert costs["convnext_tiny_stem"].bytes_per_picture == 8 * 8 * 96 * 4
