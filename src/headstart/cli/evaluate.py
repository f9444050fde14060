"""headstart evaluate"""

import time
from typing import Any

import click

from headstart.cli.output import json_option, print_figures, print_json, say


@click.command()
@click.argument("run")
@click.argument("data")
@click.option(
    "--label-pattern", metavar="PATTERN", help="Where the label stands in file names, as for `headstart train`."
)
@json_option
def evaluate(run: str, data: str, label_pattern: str | None, as_json: bool) -> None:
    """Compare what RUN says of the pictures in DATA with their labels.

    DATA holds one folder of pictures for each class; it may be a zip, or a CSV file with columns path and label.
    Where it has train and val sides, val is evaluated.
    """
    from headstart.bundle import Run
    from headstart.features.extract import digests_of
    from headstart.images.sources import list_for_evaluation

    started = time.perf_counter()
    opened = Run(run)
    listing = list_for_evaluation(data, label_pattern)
    result = opened.evaluate(listing, show=not as_json)
    left_out = [*listing.skipped, *result.quarantined]
    known = opened.trained_on()
    learned_from = sum(digest in known for digest in digests_of([picture.path for picture in result.pictures]))
    content: dict[str, Any] = {
        **result.figures.to_dict(),
        "classes": list(opened.classes),
        "quarantined": len(left_out),
        "trained_on": learned_from,
        "unlike": None if result.unlike is None else int(result.unlike.sum()),
        "run": str(opened.path),
        "data": str(listing.root),
        "seconds": time.perf_counter() - started,
    }
    if as_json:
        print_json(content)
        return
    print_figures(content, str(listing.root))
    if learned_from:
        say("[yellow]{} of these pictures were trained on, so the figures flatter it.[/]", f"{learned_from:,}")
    if content["unlike"]:
        say("{} of them are unlike all that it was trained on.", f"{content['unlike']:,}")
    for bad in left_out:
        say("[yellow]left out[/] {}: {}", bad.path, bad.reason)
