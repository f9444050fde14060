"""headstart audit"""

from typing import TYPE_CHECKING, Any

import click

from headstart.auditing.findings import NEEDS_KERAS, SHOWN
from headstart.cli.options import as_shares, image_size_option, labels_options, shares_options, value, weights_option
from headstart.cli.output import json_option, print_json, print_table, say
from headstart.loading import load_keras

if TYPE_CHECKING:
    from headstart.auditing.findings import Audit, Finding

_EXAMPLES = 3
_NAMES = 2


@click.command()
@click.argument("data")
@click.option("--against", metavar="NEW", help="New pictures, labelled or not, to compare the training pictures with.")
@click.option("--backbone", default="nano", show_default=True, metavar="NAME", help="Whose features are compared.")
@weights_option
@image_size_option
@click.option("--no-features", is_flag=True, help="Only what files and labels tell: quick, and without Keras.")
@labels_options
@shares_options
@value("seed", int, "N", "Of the split.")
@click.option("--out", "-o", metavar="FOLDER", help="Where to write audit.html and the CSV files.")
@click.option(
    "--max-shown",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    metavar="N",
    help="Findings of each check on the page; CSV files and JSON hold all.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if anything was found.")
@json_option
def audit(data: str, out: str | None, val: str, test: str | None, strict: bool, as_json: bool, **choices: Any) -> None:
    """Look at DATA before anything is learned from it.

    Broken and misnamed files, exact and near duplicates (those across sides or with different labels first), groups on
    both sides, class imbalance, odd sizes; with features also likely label errors, outliers, and whether training
    pictures differ from those they are checked on, or from new ones. DATA is what `headstart train` takes, and it is
    split as that would split it.
    """
    import headstart

    features = not choices.pop("no_features")
    if features:
        load_keras(NEEDS_KERAS, trains=choices["weights"] != "imagenet")
    found = headstart.audit(data, out=out, features=features, progress=not as_json, **as_shares(val, test), **choices)
    print_json(found.to_dict()) if as_json else _print(found, out)
    if strict and found.found:
        click.get_current_context().exit(1)


def _print(found: "Audit", out: str | None) -> None:
    print_table(
        None, ("check", "found", "in words"), [(check.title, check.found, check.summary) for check in found.checks]
    )
    worst = [
        (check.title, _pictures(finding), finding.why)
        for check in found.checks
        for finding in check.findings[:_EXAMPLES]
    ]
    if worst:
        print_table(None, ("the worst", "pictures", "what"), worst)
    if found.refused:
        say("[yellow]It cannot be trained on as it is[/]: {}", found.refused)
    features = f"features of {found.backbone}" if found.backbone else "without features"
    say("{} files, {}; {} s.", f"{found.files:,}", features, f"{found.seconds:.1f}")
    if out is None:
        say("`--out FOLDER` writes all of it down, with a page to look at.")
    else:
        say("Written to [bold]{}[/]: audit.html to look at, CSV files with everything.", out)


def _pictures(finding: "Finding") -> str:
    names = [picture.name for picture in finding.pictures[:_NAMES]]
    more = len(finding.pictures) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
