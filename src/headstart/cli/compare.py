"""headstart compare"""

from typing import TYPE_CHECKING, Any

import click

from headstart.cli.options import (
    as_shares,
    engine_options,
    fit_option,
    labels_options,
    open_engine,
    precision_option,
    shares_options,
    value,
)
from headstart.cli.output import human_size, json_option, print_json, print_table, say
from headstart.comparing.entries import ENTRY_FORM, SAMPLE, parse_entries
from headstart.comparing.start import start_compare
from headstart.recipe import Recipe

if TYPE_CHECKING:
    from headstart.comparing.comparison import Comparison, Row


@click.command()
@click.argument("data")
@click.option("--backbones", metavar="A,B,C", help=f"Each of them {ENTRY_FORM}: nano@160, mobilenet_v2:none.")
@click.option("--all-cached", is_flag=True, help="All whose ImageNet weights are on this machine, and nano.")
@value("weights", str, "imagenet|none|FILE", "Of those in --backbones that name none.")
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    default=SAMPLE,
    show_default=True,
    metavar="N",
    help="Pictures that all are judged on first; ten for each class at least.",
)
@labels_options
@shares_options
@fit_option
@value("seed", int, "N", "Of the split, of folds and of random weights.")
@precision_option
@engine_options
@click.option("--out", "-o", metavar="FOLDER", help="Where to write compare.html, compare.csv and compare.json.")
@json_option
def compare(
    data: str,
    backbones: str | None,
    all_cached: bool,
    weights: str,
    sample: int,
    val: str,
    test: str | None,
    engine: str,
    address: str | None,
    workers: int | None,
    out: str | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Find the backbone for DATA: how accurate each is with a solved head, how fast, and which one to take.

    All are judged on a few pictures first, and only those that can still win on more; the best in pairs, too. Judged is
    by cross-validation on the pictures to learn from, so those for validation stay clean. What is computed is kept for
    `headstart train --strategy head`, and what is kept is not computed again.
    """
    if backbones is None and not all_cached:
        raise click.UsageError("Missing --backbones A,B,C or --all-cached.", click.get_current_context())
    entries = parse_entries(backbones, weights) if backbones is not None else ()
    recipe = Recipe(data, strategy="head", **as_shares(val, test), **choices)
    # Random weights are drawn otherwise on each backend of Keras; these are those that `train` draws.
    trains = any(entry.weights != Recipe.weights for entry in entries)
    with open_engine(engine, address, workers) as chosen:
        found = start_compare(recipe, entries, all_cached, sample, out, not as_json, trains, chosen)
    print_json(found.to_dict()) if as_json else _print(found, out)


def _print(found: "Comparison", out: str | None) -> None:
    columns = ("backbone", "px", "accuracy", "95 %", "log loss", "on pictures", "pictures/s", "weights", "behind")
    print_table(None, columns, [_cells(row) for row in found.rows])
    for name, reason in found.left_out.items():
        say("[yellow]left out[/] {}: {}", name, reason)
    if found.not_cached:
        say("{} backbones have no ImageNet weights on this machine and were left out.", len(found.not_cached))
    counts = (f"{count:,}" for count in (found.pictures, found.extracted, found.reused))
    say(
        "{} pictures: {} passes through frozen parts, {} kept from before; {} s in all.",
        *counts,
        f"{found.seconds:.1f}",
    )
    say("[bold]{}[/]", found.sentence)
    say("  {}", found.choice.command)
    if out is not None:
        say("Written to [bold]{}[/]: compare.html to look at, compare.csv and compare.json.", out)


def _cells(row: "Row") -> tuple[Any, ...]:
    apart = row.behind
    return (
        row.name,
        row.image_size,
        row.accuracy,
        f"{row.low:.4f} to {row.high:.4f}",
        row.loss,
        row.pictures,
        round(row.pictures_per_second),
        human_size(row.bytes),
        "" if apart is None else f"{apart.in_words} {apart.name}",
    )
