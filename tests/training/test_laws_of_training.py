"""Law 3: training from kept tensors is training the whole graph with its frozen layers frozen.

One side goes the way of the product: the frozen part over picture files into the store, batches from there, `fit`.
The other is Keras as the notebooks write it: `keras.applications`, `layer.trainable = False`, `model.fit` on pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from headstart.features.convert import FrozenRuntime
from headstart.features.runtime import RuntimeIdentity
from headstart.features.store import Store
from headstart.images.decode import DecodeRecipe, decode
from headstart.images.pictures import Listing
from headstart.images.sources import list_labelled
from headstart.models.assemble import assemble, build_network
from headstart.models.backbones import find_backbone
from headstart.models.cut import Parts, fingerprint, split
from headstart.models.freeze import Freezer, first_trainable
from headstart.models.layers import leaves
from headstart.recipe import BatchNorm, Recipe
from headstart.specs import parse_head, parse_unfreeze
from headstart.training.batches import Batches, Kept
from headstart.training.fit import Places, fit
from headstart.training.keeping import Frozen, Keeper
from headstart.training.objective import make_objective
from headstart.training.optimizers import make_optimizer
from headstart.training.state import Plan
from tests.conftest import make_picture, write_picture
from tests.models.test_cut_laws import STEPS, TRAINABLE, branching_model, run
from tests.models.test_cut_laws import pictures as arrays

EPOCHS = 3
BATCH = 8
SEED = 5
CLASSES = ("blue", "green", "red")
PICTURES_EACH = 8

LOSSES = 2e-5
"""How far the losses may lie apart: as far as those of plain Keras do whose pixels are changed in the last bit."""
WEIGHTS = 3e-3
"""How far trained weights may lie apart, relative to how far they have moved: as far as those do."""
MOVES = 1e-2
"""What the loss must at least change by from the first epoch to the last, so that equal curves mean something."""

applications = keras.applications
_OF_CONVNEXT = ("2_block_8_pointwise_conv_2", "3_block_1_depthwise_conv", "3_block_2_layer_scale")
TO_ONE = keras.layers.Rescaling(1 / 127.5, -1)
"""The preprocessing of many networks; Keras' `preprocess_input` rounds otherwise in the last bit."""


@dataclass(frozen=True)
class Case:
    """A network, and where it is cut.

    Attributes:
        name: in the registry.
        build: the function in `keras.applications`.
        preprocess: its own.
        gain: variance of random kernels times the number of their inputs; what keeps features near one in size.
        cuts: the first trained layers, by name, or by number where Keras makes names up; None trains the head alone.
        side: of the pictures, in pixels.
    """

    name: str
    build: Callable[..., keras.Model]
    preprocess: Callable[..., np.ndarray]
    gain: float
    cuts: tuple[str | int | None, ...]
    side: int = 64


CASES = (
    Case("mobilenet", applications.MobileNet, TO_ONE, 2.4, ("conv_dw_9", "conv_dw_4", None)),
    Case("mobilenet_v2", applications.MobileNetV2, TO_ONE, 1.6, ("block_12_project", "block_14_expand", "Conv_1")),
    Case(
        *("resnet50", applications.ResNet50, applications.resnet.preprocess_input, 0.5),
        ("conv4_block6_2_conv", "conv5_block2_1_conv", None),
    ),
    Case("inception_v3", applications.InceptionV3, TO_ONE, 2.4, (249, 277, None), side=96),
    Case(
        *("efficientnet_v2_b0", applications.EfficientNetV2B0, np.asarray, 1.7),
        ("block6g_project_conv", "block6h_expand_conv", "top_conv"),
    ),
    Case(
        *("convnext_tiny", applications.ConvNeXtTiny, np.asarray, 1.0),
        tuple(f"convnext_tiny_stage_{layer}" for layer in _OF_CONVNEXT),
    ),
)
CASE = {case.name: case for case in CASES}
NOTEBOOKS = {"mobilenet": "conv_dw_9", "mobilenet_v2": "block_12_project"}
"""The cuts of the first two notebooks. That of the second, with two frontier tensors, is tried every time."""

Weights = list[np.ndarray]
"""Those of all layers of a network and its head, in the order of the layers."""


@dataclass(frozen=True)
class Trained:
    """What a training has come to.

    Attributes:
        losses: the mean loss of each epoch.
        weights: of the whole model at the end of one of the epochs.
    """

    losses: np.ndarray
    weights: Weights


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Pictures of three colours; faint enough that they are not learned at once."""
    for hue, name in enumerate(CLASSES):
        for number in range(PICTURES_EACH):
            pixels = make_picture(100 * hue + number, hue=hue)
            write_picture(tmp_path / "data" / name / f"{number}.png", pixels // 2)
    return list_labelled(str(tmp_path / "data"))


def labels_of(listing: Listing) -> np.ndarray:
    return np.array([CLASSES.index(picture.label) for picture in listing.pictures])


def pixels_of(listing: Listing, side: int) -> np.ndarray:
    decoded = [decode(Path(picture.path).read_bytes(), DecodeRecipe(side, side)) for picture in listing.pictures]
    return np.stack(decoded).astype(np.float32)


def weights_of(model: keras.Model) -> Weights:
    return [array for leaf in leaves(model) for array in leaf.get_weights()]


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Give a network all that another one like it has: weights, and what its dropout draws next."""
    for one, other in zip(_with_state(source), _with_state(target), strict=True):
        other.set_weights(one.get_weights())
        if isinstance(one, keras.layers.Dropout):
            other.seed_generator.state.assign(one.seed_generator.state)


def _with_state(model: keras.Model) -> list[keras.layers.Layer]:
    return [leaf for leaf in leaves(model) if leaf.weights or isinstance(leaf, keras.layers.Dropout)]


def live_network(case: Case) -> tuple[keras.Model, keras.Model]:
    """The product's whole model and the backbone in it, with random weights behind which pictures still differ.

    With Keras' own initial weights the maps of a deep network shrink to nothing, and with statistics estimated on the
    pictures every BatchNormalization takes away what they have in common and magnifies rounding with the rest, until
    two runs of plain Keras have nothing to do with each other. Kernels of the right scale do neither.
    """
    random = np.random.default_rng(SEED)
    keras.utils.set_random_seed(SEED)
    network = build_network(find_backbone(case.name), "none", case.side)
    model = assemble([network], case.side, parse_head("linear"), len(CLASSES))
    for leaf in leaves(network.model):
        if type(leaf).__name__ == "LayerScale":
            leaf.gamma.assign(np.full(leaf.gamma.shape, 0.5))  # begins at a millionth
        if (kernel := getattr(leaf, "kernel", None)) is not None:
            sides = kernel.shape[:2] if isinstance(leaf, keras.layers.DepthwiseConv2D) else kernel.shape[:-1]
            kernel.assign(random.normal(0, np.sqrt(case.gain / np.prod(sides)), kernel.shape))
    return model, network.model


def in_keras(parts: Parts) -> Frozen:
    """The frozen part run by Keras, so that both sides compute it alike."""
    identity = RuntimeIdentity("keras-test", "1", "f32")
    return Frozen(parts.frozen, fingerprint(parts.frozen), FrozenRuntime(identity, None, parts.frozen))


def from_kept_tensors(
    case: Case, listing: Listing, model: keras.Model, recipe: Recipe, folder: Path, openvino: bool = False
) -> tuple[Trained, int]:
    """The way of the product; also the epoch, from 1, whose weights it keeps."""
    parts = split(model)
    keeper = Keeper(recipe, listing, DecodeRecipe(case.side, case.side), Store(), show=False)
    frozen = keeper.freeze(parts) if openvino else in_keras(parts)
    assert (frozen.runtime.identity.name == "openvino") is openvino
    source, paths = Kept([keeper.keep(frozen)]), [picture.path for picture in listing.pictures]
    objective = make_objective(recipe, len(CLASSES))
    targets = objective.targets(labels_of(listing))
    train, val = Batches(source, paths, targets, BATCH, SEED), Batches(source, paths, targets, BATCH)
    places = Places(folder / "state.safetensors", folder / "checkpoints", folder / "tensorboard")
    places.prepare()
    optimizer = make_optimizer(recipe, "finetune", len(train))
    fitted = fit(parts.trainable, objective, optimizer, train, val, Plan(EPOCHS, EPOCHS, BATCH, "these"), places)
    return Trained(np.array([row["loss"] for row in fitted.rows]), weights_of(model)), fitted.best_epoch


def plain_model(case: Case, first: str | int | None, batchnorm: bool) -> keras.Model:
    """The network as a notebook builds and freezes it.

    Args:
        case: which.
        first: the first trained layer; None for none.
        batchnorm: whether BatchNormalization is trained with its neighbours.
    """
    base = case.build(include_top=False, weights=None, input_shape=(case.side, case.side, 3))
    names = [layer.name for layer in base.layers]
    number = names.index(first) if isinstance(first, str) else len(names) if first is None else first
    for layer in base.layers[:number]:
        layer.trainable = False
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # `fit` would switch it on, frozen or not
    for layer in base.layers[number:]:
        layer.trainable = batchnorm or not isinstance(layer, keras.layers.BatchNormalization)
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.input, keras.layers.Dense(len(CLASSES), "softmax", name="classifier")(x))


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(2e-4, momentum=0.9, nesterov=True),
    "amsgrad": lambda: keras.optimizers.Adam(2e-5, amsgrad=True),
}


def on_pixels(case: Case, listing: Listing, plain: keras.Model, optimizer: str, until: int) -> Trained:
    """The way of a notebook: the whole graph in every step; the weights are those after epoch `until`."""
    x, labels = np.array(case.preprocess(pixels_of(listing, case.side))), labels_of(listing)
    plain.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy")
    losses, weights = [], []
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch]).permutation(len(x))
        losses += plain.fit(x[order], labels[order], batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
        if epoch + 1 == until:
            weights = weights_of(plain)
    return Trained(np.array(losses), weights)


def both_ways(
    case: Case,
    first: str | int | None,
    listing: Listing,
    folder: Path,
    optimizer: str = "sgd",
    batchnorm: tuple[BatchNorm, BatchNorm] = ("frozen", "frozen"),
    openvino: bool = False,
) -> tuple[Trained, Trained, Weights]:
    """Train one network from kept tensors and as a whole, from the same weights, which are given, too.

    Args:
        case: the network.
        first: the first trained layer.
        listing: the pictures.
        folder: for what `fit` writes.
        optimizer: of both.
        batchnorm: of the product, and of plain Keras; `frozen` or `follow`.
        openvino: whether OpenVINO runs the frozen part.
    """
    model, backbone = live_network(case)
    spec = parse_unfreeze("none" if first is None else f"from:{first}")
    Freezer(backbone).apply(first_trainable(backbone, spec), batchnorm[0])
    begin = weights_of(model)
    plain = plain_model(case, first, batchnorm[1] == "follow")
    copy_state(model, plain)
    rate = OPTIMIZERS[optimizer]().learning_rate
    as_in_plain_keras = {"schedule": "constant", "label_smoothing": 0.0, "weight_decay": 0.0, "precision": "f32"}
    choices = {"optimizer": optimizer, "learning_rate": float(rate)} | as_in_plain_keras
    recipe = Recipe(str(listing.root), backbone=case.name, **choices)
    kept, best = from_kept_tensors(case, listing, model, recipe, folder, openvino)
    return kept, on_pixels(case, listing, plain, optimizer, best), begin


def distance(one: Weights, other: Weights, begin: Weights) -> float:
    """How far trained weights lie apart, relative to how far they have moved; both are the norm over all of them."""

    def norm(left: Weights, right: Weights) -> float:
        return float(np.sqrt(sum(np.sum((a.astype(np.float64) - b) ** 2) for a, b in zip(left, right, strict=True))))

    return norm(one, other) / norm(other, begin)


def assert_equal(kept: Trained, plain: Trained, begin: Weights) -> None:
    assert np.ptp(plain.losses) > MOVES
    np.testing.assert_allclose(kept.losses, plain.losses, rtol=0, atol=LOSSES)
    assert distance(kept.weights, plain.weights, begin) < WEIGHTS


def assert_different(kept: Trained, plain: Trained, begin: Weights) -> None:
    assert np.abs(kept.losses - plain.losses).max() > 10 * LOSSES
    assert distance(kept.weights, plain.weights, begin) > 10 * WEIGHTS


EVERY_CUT = [
    pytest.param(
        case,
        cut,
        id=f"{case.name}-{cut or 'head alone'}",
        marks=[] if (case.name, cut) == ("mobilenet_v2", NOTEBOOKS["mobilenet_v2"]) else pytest.mark.slow,
    )
    for case in CASES
    for cut in case.cuts
]


@pytest.mark.parametrize(("case", "first"), EVERY_CUT)
def test_the_loss_curve_from_kept_tensors_is_that_of_plain_keras(case, first, listing, tmp_path):
    assert_equal(*both_ways(case, first, listing, tmp_path))


def test_the_cut_of_the_second_notebook_has_two_frontier_tensors():
    model, backbone = live_network(CASE["mobilenet_v2"])
    Freezer(backbone).apply(first_trainable(backbone, parse_unfreeze("from:113")), "frozen")
    assert backbone.layers[113].name == NOTEBOOKS["mobilenet_v2"] == "block_12_project"
    assert split(model).frontier == ((4, 4, 96), (4, 4, 576))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2"])
def test_so_it_is_with_an_optimizer_that_remembers_every_gradient(name, listing, tmp_path):
    assert_equal(*both_ways(CASE[name], CASE[name].cuts[0], listing, tmp_path, optimizer="amsgrad"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first"), [("mobilenet_v2", "Conv_1"), ("resnet50", "conv5_block2_1_conv")])
def test_so_it_is_where_batch_normalisation_follows_its_neighbours(name, first, listing, tmp_path):
    assert_equal(*both_ways(CASE[name], first, listing, tmp_path, batchnorm=("follow", "follow")))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first"), [*NOTEBOOKS.items(), ("resnet50", "conv5_block2_1_conv")])
def test_so_it_is_where_openvino_runs_the_frozen_part(name, first, listing, tmp_path):
    assert_equal(*both_ways(CASE[name], first, listing, tmp_path, openvino=True))


@pytest.mark.slow
def test_so_it_is_with_the_preprocessing_that_rounds_otherwise(listing, tmp_path):
    case = replace(CASE["mobilenet"], preprocess=applications.mobilenet.preprocess_input)
    assert_equal(*both_ways(case, case.cuts[0], listing, tmp_path))


def test_batch_normalisation_that_is_trained_on_one_side_alone_is_noticed(listing, tmp_path):
    case = CASE["mobilenet"]
    assert_different(*both_ways(case, NOTEBOOKS["mobilenet"], listing, tmp_path, batchnorm=("frozen", "follow")))


@pytest.mark.slow
def test_a_layer_that_is_trained_on_one_side_alone_is_noticed(listing, tmp_path, monkeypatch):
    case, frozen_too = CASE["mobilenet"], plain_model

    def freezing_one_more(*arguments):
        plain = frozen_too(*arguments)
        plain.get_layer("conv_pw_13").trainable = False
        return plain

    monkeypatch.setitem(globals(), "plain_model", freezing_one_more)
    assert_different(*both_ways(case, case.cuts[0], listing, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["draws other numbers", "frozen dropout is on"])
def test_dropout_that_differs_is_noticed(what, listing, tmp_path, monkeypatch):
    case, as_it_should_be = CASE["efficientnet_v2_b0"], copy_state

    def meddling(source, target):
        as_it_should_be(source, target)
        dropouts = [leaf for leaf in leaves(target) if isinstance(leaf, keras.layers.Dropout)]
        for dropout in dropouts:
            if what == "draws other numbers":
                dropout.seed_generator.state.assign([1, 2])
            else:
                dropout.rate = dropouts[-1].rate

    monkeypatch.setitem(globals(), "copy_state", meddling)
    kept, plain, _ = both_ways(case, case.cuts[0], listing, tmp_path)
    assert np.abs(kept.losses - plain.losses).max() > 10 * LOSSES


def twin_models(steps, two_outputs: bool, trainable) -> tuple[keras.Model, keras.Model]:
    """The same model twice, with weights small enough that training does not run away."""
    one, other = branching_model(steps, two_outputs, trainable), branching_model(steps, two_outputs, trainable)
    one.set_weights([weight / 4 for weight in one.get_weights()])
    copy_state(one, other)
    return one, other


def train_one_epoch(model: keras.Model, x: list[np.ndarray], outputs: int) -> np.ndarray:
    random = np.random.default_rng(SEED)
    targets = [random.normal(size=(len(x[0]), 2)).astype(np.float32) for _ in range(outputs)]
    # A graph for each example would take far longer than its three steps.
    model.compile(keras.optimizers.SGD(1e-2, momentum=0.9), "mse", run_eagerly=True)
    given_inputs, wanted = (x, targets) if len(x) > 1 else (x[0], targets)
    history = model.fit(
        given_inputs, wanted if outputs > 1 else wanted[0], batch_size=4, shuffle=False, verbose=0, epochs=1
    )
    return np.array(history.history["loss"])


@given(st.lists(STEPS, min_size=2, max_size=7), st.booleans(), TRAINABLE)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_epoch_of_any_model_from_kept_tensors_is_one_epoch_of_the_whole(steps, two_outputs, trainable):
    model, whole = twin_models(steps, two_outputs, trainable)
    assume(model.trainable_variables)
    parts, outputs, x = split(model), 1 + two_outputs, arrays(10)
    kept = run(parts.frozen, x)
    found = train_one_epoch(parts.trainable, kept, outputs)
    expected = train_one_epoch(whole, [x], outputs)
    assume(np.isfinite(expected).all())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
