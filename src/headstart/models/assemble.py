"""The whole classifier as one Keras model: pixels, preprocessing, one or several networks, head."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from headstart.models.backbones import Backbone
from headstart.models.blocks import blocks
from headstart.models.heads import add_head
from headstart.models.layers import layer_number, leaves
from headstart.models.standardise import Standardisation
from headstart.models.weights import build_with_weights, in_brief
from headstart.recipe import Output
from headstart.specs import HeadSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """One pretrained backbone, cut at its tap, ready for a head.

    Attributes:
        backbone: which it is.
        model: functional, from preprocessed pictures float32 `(batch, image_size, image_size, 3)` to features
            `(batch, rows, columns, width)` or `(batch, width)`. Nothing behind the tap is part of it. Its layers are
            those of `keras.applications` in the same order; so are their numbers, except where the tap lies inside a
            block and leaves layers beside it out.
        missing: names of layers that found no weights in the file, in order; they are random. Empty normally.
    """

    backbone: Backbone
    model: keras.Model
    missing: tuple[str, ...] = ()


def build_network(
    backbone: Backbone, weights: str, image_size: int, tap: str | None = None, include_top: bool = False
) -> Network:
    """Build a backbone with its weights and cut it at its tap.

    Args:
        backbone: which.
        weights: `imagenet`, `none` or a file, which may hold a part of the layers; a warning names the others.
        image_size: rows and columns of the pictures.
        tap: name or number of the layer whose output a head takes, negative numbers counting from the end; None for
            the last layer, with the top the last but one.
        include_top: whether the backbone is built with its own classifier.

    Raises:
        WeightsError: if the weights cannot be had or do not fit.
        RecipeError: if the backbone cannot be built at that size, or has no such layer.
    """
    whole, missing = build_with_weights(backbone, image_size, weights, include_top)
    if tap is None and not include_top:
        output = whole.output
    else:
        tap = tap or "-2"
        output = whole.layers[layer_number(whole, tap, f"tap {tap!r}")].output
    return cut_network(backbone, whole, output, missing)


def cut_network(backbone: Backbone, whole: keras.Model, output: Any, missing: Sequence[str]) -> Network:
    """The part of a whole backbone that makes one of its tensors; layers and weights are shared.

    Args:
        backbone: which it is.
        whole: all of it.
        output: KerasTensor of that model's graph.
        missing: names of layers of the whole without pretrained weights; they are warned of if they are needed.
    """
    model = keras.Model(whole.input, output, name=backbone.name)
    needed = {leaf.name for leaf in leaves(model)}
    network = Network(backbone, model, tuple(name for name in missing if name in needed))
    behind = [name for name in missing if name not in needed]
    if behind and not network.missing:
        log.warning(
            "the weights of %s hold nothing for %s, which lie behind the tap and are not needed.",
            backbone.name,
            in_brief(whole, behind),
        )
    if network.missing:
        complete = last_complete_tap(network)
        hint = f" Everything up to {complete} is there: --tap {complete} leaves the rest out." if complete else ""
        names = in_brief(model, network.missing)
        log.warning("the weights of %s hold nothing for %s, which are random.%s", backbone.name, names, hint)
    return network


def last_complete_tap(network: Network) -> str | None:
    """The last layer of the last block up to which no layer of the network misses its weights; None for no block."""
    missing = set(network.missing)
    complete = None
    for block in blocks(network.model):
        layers = network.model.layers[block.first : block.last + 1]
        if any(leaf.name in missing for layer in layers for leaf in leaves(layer)):
            break
        complete = block.name
    return complete


def assemble(
    networks: Sequence[Network],
    image_size: int,
    head: HeadSpec,
    classes: int,
    output: Output = "softmax",
    standardisation: Standardisation | None = None,
) -> keras.Model:
    """Put networks side by side behind the same pixels, and a new head on what they give.

    Which layers are trained is left as it is; see `headstart.models.freeze`. The layers of several networks are renamed
    to begin with the name of their backbone, so that no two are called the same.

    Args:
        networks: one, or several whose features are pooled and fused.
        image_size: rows and columns of the pictures, for which the networks are built.
        head: what stands between features and classifier.
        classes: how many classes there are.
        output: `softmax`, or one `sigmoid` unit for two classes.
        standardisation: what pixels go through before the networks' own preprocessing; None for nothing.

    Returns:
        A functional model from RGB pixels 0-255, float32 `(batch, image_size, image_size, 3)`, to probabilities
        `(batch, classes)`, or `(batch, 1)` for sigmoid. Each network is a nested model in it, the head's layers are
        its own.

    Raises:
        RecipeError: if the head does not fit the networks or the classes.
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    shown = pixels if standardisation is None else standardisation.apply(pixels)
    if len(networks) == 1:
        (network,) = networks
        features = [network.model(network.backbone.preprocess(shown))]
    else:
        features = [_beside_others(network, shown) for network in networks]
    return keras.Model(pixels, add_head(features, head, classes, output), name="classifier_of_pixels")


def _beside_others(network: Network, pixels: Any) -> Any:
    prefix = f"{network.backbone.name}_"
    for operation in network.model.operations:
        if not operation.name.startswith(prefix):
            operation.name = prefix + operation.name
    return network.model(network.backbone.preprocess(pixels, f"{prefix}preprocess"))
