"""headstart export-features"""

from typing import Any, Literal

import click

from headstart.cli.options import (
    choice,
    engine_options,
    fit_option,
    image_size_option,
    labels_options,
    open_engine,
    precision_option,
    shares_options,
    split_option,
    standardise_option,
    tap_options,
    value,
    weights_option,
)
from headstart.cli.output import json_option, print_json, say
from headstart.recipe import parse_share


@click.command("export-features")
@click.argument("data")
@click.option("--out", "-o", required=True, metavar="FILE", help="FILE.npz, FILE.h5 or FILE.parquet.")
@click.option("--run", metavar="RUN", help="Take the frozen half of a finished RUN, and its way of splitting.")
@value("backbone", str, "NAME", "See `headstart backbones`; several, as A,B, are fused.")
@weights_option
@tap_options
@image_size_option
@fit_option
@standardise_option
@choice(
    "batchnorm",
    Literal["frozen", "adapt"],
    "frozen: on its moving statistics. adapt: these re-estimated on the training pictures.",
)
@precision_option
@labels_options
@shares_options
@split_option
@value("fold", str, "I/K", "Take the Ith of K folds for validation.", "a share")
@value("seed", int, "N", "Of the split, and of random weights.")
@engine_options
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def export_features(
    data: str,
    out: str,
    run: str | None,
    engine: str,
    address: str | None,
    workers: int | None,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Write the features of the pictures in DATA to FILE, with labels, paths and sides.

    DATA is what `headstart train` takes, and it is split as that would split it. The features are those that `headstart
    train --strategy head` learns from: what one of them computes, the other finds in the store.
    """
    from headstart.feature_files.export import export

    context = click.get_current_context()
    given = {
        name: asked
        for name, asked in choices.items()
        if context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT
    }
    given |= {name: parse_share(given[name]) for name in ("val", "test") if name in given}
    chosen = context.with_resource(open_engine(engine, address, workers))
    found = export(data, out, run, given, force, show=not as_json, trains=False, engine=chosen)
    if as_json:
        print_json(found.to_dict())
        return
    counts = (f"{count:,}" for count in (found.pictures, found.width, found.extracted, found.reused))
    say(
        "{} pictures of {} classes, {} features each: {} passes through the frozen part, {} kept from before; {} s.",
        next(counts),
        len(found.classes),
        *counts,
        f"{found.seconds:.1f}",
    )
    for bad in found.quarantined:
        say("[yellow]left out[/] {}: {}", bad.path, bad.reason)
    say("Written to [bold]{}[/].", found.path)
