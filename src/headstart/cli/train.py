"""headstart train"""

import shlex
from typing import Any, get_args

import click

from headstart.cli.output import json_option, print_figures, print_json, say
from headstart.recipe import Fit, PrecisionChoice, Recipe, Strategy, parse_val


@click.command()
@click.argument("data")
@click.option("--out", "-o", required=True, metavar="RUN", help="Folder to create for the result.")
@click.option(
    "--backbone", default=Recipe.backbone, show_default=True, metavar="NAME", help="See `headstart backbones`."
)
@click.option(
    "--weights", default=Recipe.weights, show_default=True, metavar="imagenet|none|FILE", help="Pretrained weights."
)
@click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    default=Recipe.strategy,
    show_default=True,
    help="head: a new head on the frozen backbone.",
)
@click.option(
    "--head",
    default=Recipe.head,
    show_default=True,
    metavar="SPEC",
    help="linear, or layers as dense:400,dropout:0.2,dense:100.",
)
@click.option(
    "--val",
    default=str(Recipe.val),
    show_default=True,
    metavar="SHARE|FOLDER",
    help="Share of pictures kept aside for validation where DATA has no val folder, or such a folder.",
)
@click.option(
    "--epochs",
    type=int,
    default=Recipe.epochs,
    show_default=True,
    help="At most so many; a linear head is solved and has none.",
)
@click.option("--image-size", type=int, metavar="PIXELS", help="Rows and columns.  [default: the backbone's own]")
@click.option(
    "--fit",
    type=click.Choice(get_args(Fit)),
    default=Recipe.fit,
    show_default=True,
    help="crop keeps the aspect ratio and cuts the centre; stretch keeps everything and distorts it.",
)
@click.option("--seed", type=int, default=Recipe.seed, show_default=True, help="The same seed, the same result.")
@click.option(
    "--precision",
    type=click.Choice(get_args(PrecisionChoice)),
    default=Recipe.precision,
    show_default=True,
    help="Of the frozen part; auto takes bf16 only if it changes hardly anything.",
)
@click.option("--strict", is_flag=True, help="Refuse files that cannot be decoded instead of leaving them out.")
@json_option
def train(data: str, val: str, as_json: bool, **choices: Any) -> None:
    """Train a classifier on DATA and write it to RUN.

    DATA holds one folder of pictures for each class, or train and val (or test) folders of such folders.
    """
    import headstart

    run = headstart.train(data, val=parse_val(val), progress=not as_json, **choices)
    print_json(run.metrics) if as_json else print_result(run.metrics)


def print_result(metrics: dict[str, Any]) -> None:
    """What a person wants to know after a training."""
    print_figures(metrics, "validation")
    if metrics["chosen_on_these_pictures"]:
        say("These pictures also decided when training stopped, so the figures flatter the model a little.")
    if "accuracy_f32" in metrics:
        say("Computed in bf16; model.keras in f32: accuracy {}.", f"{metrics['accuracy_f32']:.4f}")
    if "test" in metrics:
        print_figures(metrics["test"], "test")
    counts = (f"{metrics[name]:,}" for name in ("pictures", "extracted", "reused"))
    say(
        "{} pictures: {} went through the frozen part, {} were kept from before; {} s in all.",
        *counts,
        f"{metrics['seconds']:.1f}",
    )
    run = metrics["run"]
    if metrics["quarantined"]:
        say("[yellow]{} files were left out[/]; see {}/quarantine.csv for why.", f"{metrics['quarantined']:,}", run)
    say("Written to [bold]{}[/]. Next:\n  headstart predict {} PICTURE", run, shlex.quote(run))
