"""headstart compare"""

from typing import TYPE_CHECKING, Any, get_args

import click

from headstart.cli.output import human_size, json_option, print_json, print_table, say
from headstart.comparing.entries import ENTRY_FORM, SAMPLE, parse_entries
from headstart.comparing.start import start_compare
from headstart.recipe import Fit, PrecisionChoice, Recipe, parse_share

if TYPE_CHECKING:
    from headstart.comparing.comparison import Comparison, Row


@click.command()
@click.argument("data")
@click.option("--backbones", metavar="A,B,C", help=f"Each of them {ENTRY_FORM}: nano@160, mobilenet_v2:none.")
@click.option("--all-cached", is_flag=True, help="All whose ImageNet weights are on this machine, and nano.")
@click.option(
    "--weights",
    default=Recipe.weights,
    show_default=True,
    metavar="imagenet|none|FILE",
    help="Of those in --backbones that name none.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    default=SAMPLE,
    show_default=True,
    metavar="N",
    help="Pictures that all are judged on first; ten for each class at least.",
)
@click.option("--labels", metavar="FILE", help="The classes, one name per line, as for `headstart train`.")
@click.option("--label-pattern", metavar="PATTERN", help="Where the label stands in file names, as for `train`.")
@click.option("--group-by", metavar="PATTERN", help="What belongs together, as for `train`.")
@click.option("--val", default=str(Recipe.val), show_default=True, metavar="SHARE|FOLDER", help="As for `train`.")
@click.option("--test", metavar="SHARE|FOLDER", help="As for `train`.")
@click.option("--fit", type=click.Choice(get_args(Fit)), default=Recipe.fit, show_default=True, help="As for `train`.")
@click.option("--seed", type=int, default=Recipe.seed, show_default=True, metavar="N", help="As for `train`.")
@click.option(
    "--precision",
    type=click.Choice(get_args(PrecisionChoice)),
    default=Recipe.precision,
    show_default=True,
    help="As for `train`.",
)
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
    shares: dict[str, Any] = {"val": parse_share(val), "test": None if test is None else parse_share(test)}
    recipe = Recipe(data, strategy="head", **shares, **choices)
    # Random weights are drawn otherwise on each backend of Keras; these are those that `train` draws.
    trains = any(entry.weights != Recipe.weights for entry in entries)
    found = start_compare(recipe, entries, all_cached, sample, out, not as_json, trains)
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
