"""headstart layers"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from headstart.cli.output import human_size, json_option, print_json, print_table, say
from headstart.errors import RecipeError
from headstart.recipe import BatchNorm
from headstart.specs import UNFREEZE_FORMS, parse_unfreeze

if TYPE_CHECKING:
    from headstart.models.assemble import Network


@click.command()
@click.argument("backbone")
@click.option("--unfreeze", metavar="SPEC", help=f"Show what this would train: {UNFREEZE_FORMS}.")
@click.option(
    "--batchnorm",
    type=click.Choice(get_args(BatchNorm)),
    default="frozen",
    show_default=True,
    help="With --unfreeze: which BatchNormalization is trained.",
)
@click.option("--tap", metavar="LAYER", help="Cut the backbone behind this layer, by name or number.")
@click.option("--include-top", is_flag=True, help="Build the backbone with its own classifier.")
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Rows and columns.  [default: the backbone's own]",
)
@json_option
def layers(
    backbone: str,
    unfreeze: str | None,
    batchnorm: BatchNorm,
    tap: str | None,
    include_top: bool,
    image_size: int | None,
    as_json: bool,
) -> None:
    """List the layers of BACKBONE by number, and what a cut behind each would cost.

    "Kept" is what one picture would take in the store if all layers up to and with this one were frozen and the
    others trained. With --unfreeze each layer is marked as frozen or trained; "frozen, kept" are those whose output is
    computed once and stored.
    """
    from headstart.loading import load_keras

    load_keras("headstart layers", trains=False)
    from headstart.models.assemble import build_network
    from headstart.models.backbones import find_backbone

    entry = find_backbone(backbone)
    network = build_network(entry, "none", image_size or entry.size, tap, include_top)
    content = _describe(network, image_size or entry.size)
    if unfreeze is not None:
        _draw(content, network, unfreeze, batchnorm)
    if as_json:
        print_json(content)
    else:
        _show(content)


def _describe(network: "Network", image_size: int) -> dict[str, Any]:
    from headstart.models.blocks import blocks
    from headstart.models.cut import layer_costs

    block_of = {n: block.name for block in blocks(network.model) for n in range(block.first, block.last + 1)}
    return {
        "backbone": network.backbone.name,
        "image_size": image_size,
        "feature_width": network.model.output_shape[-1],
        "parameters": network.model.count_params(),
        "layers": [asdict(cost) | {"block": block_of[cost.number]} for cost in layer_costs(network.model)],
    }


def _draw(content: dict[str, Any], network: "Network", unfreeze: str, batchnorm: BatchNorm) -> None:
    """Add what is trained and what is kept, found in the same way as for a training with a linear head."""
    from headstart.models.assemble import assemble
    from headstart.models.cut import bytes_per_picture, split
    from headstart.models.freeze import Freezer, first_trainable
    from headstart.specs import parse_head

    try:
        first = first_trainable(network.model, parse_unfreeze(unfreeze))
    except ValueError as error:
        raise RecipeError([str(error)]) from error
    Freezer(network.model).apply(first, batchnorm)
    for row, layer in zip(content["layers"], network.model.layers, strict=True):
        row["trained"] = bool(layer.trainable_weights)
    frozen = split(assemble([network], content["image_size"], parse_head("linear"), classes=2)).frozen
    trained = sum(math.prod(weight.shape) for weight in network.model.trainable_weights)
    content |= {
        "unfreeze": unfreeze,
        "batchnorm": batchnorm,
        "first_trained": first,
        "trained_parameters": trained,
        "frozen_parameters": content["parameters"] - trained,
        "frontier": [
            {"layer": name, "output_shape": tensor.shape[1:]}
            for name, tensor in zip(_made_by(frozen.get_config()), frozen.outputs, strict=True)
        ],
        "bytes_per_picture": bytes_per_picture(frozen),
    }


def _made_by(config: Mapping[str, Any]) -> list[str]:
    """The layers that make a model's outputs; with one output its place stands alone, without a list around it."""
    places = config["output_layers"]
    return [place[0] for place in ([places] if isinstance(places[0], str) else places)]


def _show(content: Mapping[str, Any]) -> None:
    drawn = "unfreeze" in content
    columns = ("#", "layer", "block", "type", "output", "parameters", "kept")
    rows = [
        (
            row["number"],
            row["name"],
            row["block"],
            row["type"],
            _shape(row["output_shape"]),
            row["parameters"],
            human_size(row["bytes_per_picture"]),
            *([_state(row, content)] if drawn else []),
        )
        for row in content["layers"]
    ]
    title = f"{content['backbone']} at {content['image_size']} px"
    print_table(title, (*columns, content["unfreeze"]) if drawn else columns, rows)
    width, parameters = content["feature_width"], f"{content['parameters']:,}"
    say("{} parameters; pooled features are {} values, {}.", parameters, width, human_size(4 * width))
    if drawn:
        _show_frontier(content)


def _state(row: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    if row["name"] in [tensor["layer"] for tensor in content["frontier"]]:
        return "frozen, kept"
    if row["parameters"]:
        return "trained" if row["trained"] else "frozen"
    return ""


def _show_frontier(content: Mapping[str, Any]) -> None:
    tensors = " and ".join(f"{tensor['layer']} {_shape(tensor['output_shape'])}" for tensor in content["frontier"])
    trained, frozen = (f"{content[name]:,}" for name in ("trained_parameters", "frozen_parameters"))
    say("{} trains {} of these parameters and leaves {} frozen.", content["unfreeze"], trained, frozen)
    say("The frontier is {}, {} per picture.", tensors, human_size(content["bytes_per_picture"]))


def _shape(sides: tuple[int | None, ...]) -> str:
    return "x".join(map(str, sides))
