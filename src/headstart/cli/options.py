"""Options that several commands have in common; their defaults are those of the recipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import click

from headstart.features.engine import LOCAL, Engine
from headstart.recipe import Fit, PrecisionChoice, Recipe, parse_share

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def choice(name: str, kind: Any, text: str) -> Decorator:
    """An option that is one of a few words, with the recipe's own default."""
    default = getattr(Recipe, name.replace("-", "_"))
    return click.option(f"--{name}", type=click.Choice(get_args(kind)), default=default, show_default=True, help=text)


def value(name: str, kind: Any, metavar: str, text: str, shown: str | None = None) -> Decorator:
    """An option that takes a value, with the recipe's own default, or what stands for it."""
    default = getattr(Recipe, name.replace("-", "_"))
    return click.option(
        f"--{name}", type=kind, default=default, show_default=shown or default is not None, metavar=metavar, help=text
    )


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in their order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


labels_options = together(
    value("labels", str, "FILE", "The classes, one name per line; some may have no pictures.", "the folders"),
    value(
        "label-pattern",
        str,
        "PATTERN",
        "Where the label stands in file names: '{label}.*' for cat.17.jpg.",
        "the folders",
    ),
    value("group-by", str, "PATTERN", "What must stay on one side: '{group}_*' for all of p07_1.png's p07.", "nothing"),
)
"""How classes and groups are found."""

shares_options = together(
    click.option(
        "--val",
        default=str(Recipe.val),
        show_default=True,
        metavar="SHARE|FOLDER",
        help="Share of pictures kept aside for validation where DATA has no val folder, or such a folder.",
    ),
    click.option(
        "--test", metavar="SHARE|FOLDER", help="Pictures on which nothing is chosen, for a figure to be trusted."
    ),
)
"""What is kept aside; `as_shares` makes of them what a recipe takes."""

split_option = value(
    "split", str, "FILE", "The splits.csv of an earlier RUN: pictures of the same content go where they were."
)
tap_options = together(
    value("tap", str, "LAYER", "Layer whose output the head takes, by name or number.", "the last"),
    click.option(
        "--include-top", is_flag=True, help="Build the backbone with its own classifier, to tap a layer there."
    ),
)
weights_option = value(
    "weights", str, "imagenet|none|FILE", "Pretrained weights; a FILE may hold a part of the layers."
)
image_size_option = value("image-size", int, "PIXELS", "Rows and columns.", "the backbone's own")
fit_option = choice(
    "fit", Fit, "crop keeps the aspect ratio and cuts the centre; stretch keeps everything and distorts it."
)
standardise_option = click.option(
    "--standardise", is_flag=True, help="Give the channels the mean and spread that networks are used to."
)
precision_option = choice(
    "precision",
    PrecisionChoice,
    "Of the frozen part; auto: bf16 on accelerators, else if it changes hardly anything.",
)


engine_options = together(
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Who reads the pictures and runs the frozen part: this process, or workers of a Ray cluster.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="Of a Ray cluster that is there.  [default: RAY_ADDRESS, or a new one on this machine]",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), metavar="N", help="Of the cluster.  [default: one on each core or GPU]"
    ),
)
"""Who does what can be done by many; `open_engine` makes an engine of them."""


@contextmanager
def open_engine(engine: str, address: str | None, workers: int | None) -> Iterator[Engine]:
    """The engine that options ask for, while the block runs.

    Raises:
        MissingExtraError: if Ray is not installed.
        click.UsageError: if the options contradict each other.
    """
    if engine == "local":
        if address is not None or workers is not None:
            raise click.UsageError("--address and --workers are for --engine ray.", click.get_current_context())
        yield LOCAL
        return
    from headstart.cluster.engine import RayEngine

    with RayEngine(address, workers) as found:
        yield found


def as_shares(val: str, test: str | None) -> dict[str, Any]:
    """What a recipe takes for `--val` and `--test`."""
    return {"val": parse_share(val), "test": None if test is None else parse_share(test)}
