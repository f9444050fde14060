"""headstart predict"""

import csv
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from headstart.cli.output import print_json, print_table
from headstart.errors import DataError
from headstart.texts import inert, printable

if TYPE_CHECKING:
    from headstart.bundle import Prediction


@click.command()
@click.argument("run")
@click.argument("pictures", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="How many classes to name.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--submission",
    metavar="SAMPLE",
    help="Print CSV in the form of a sample submission: its ids, and what it has columns for.",
)
def predict(run: str, pictures: Sequence[str], top: int, form: str, submission: str | None) -> None:
    """Say what RUN takes PICTURES for: files, folders, zips or arrays of them."""
    from headstart.bundle import Prediction, Run
    from headstart.images.pictures import Quarantined
    from headstart.images.sources import list_any
    from headstart.submission import Sample

    opened = Run(run)
    sample = None if submission is None else Sample(submission, opened.classes)
    paths = [picture.path for picture in list_any(pictures)]
    bad: list[Quarantined] = []

    def good() -> Iterator[Prediction]:
        for item in opened.stream(paths):
            if isinstance(item, Quarantined):
                bad.append(item)
                click.echo(printable(f"left out {item.path}: {item.reason}"), err=True)
            else:
                yield item

    if sample is not None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(sample.filled(good()))
    else:
        _PRINTERS[form](good(), min(top, len(opened.classes)), bad)
    if len(bad) == len(paths):
        raise DataError("no picture could be decoded.")


def _as_table(predictions: "Iterator[Prediction]", top: int, bad: list[Any]) -> None:
    rows = [
        (p.path, place, name, probability)
        for p in predictions
        for place, (name, probability) in enumerate(list(p.probabilities.items())[:top], start=1)
    ]
    if rows and top > 1:
        print_table(None, ("picture", "place", "class", "probability"), rows)
    elif rows:
        print_table(None, ("picture", "class", "probability"), [(path, name, p) for path, _, name, p in rows])


def _as_csv(predictions: "Iterator[Prediction]", top: int, bad: list[Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "place", "label", "probability"))
    for prediction in predictions:
        for place, (name, probability) in enumerate(list(prediction.probabilities.items())[:top], start=1):
            writer.writerow((inert(prediction.path), place, inert(name), probability))


def _as_json(predictions: "Iterator[Prediction]", top: int, bad: list[Any]) -> None:
    rows = [
        {
            "path": p.path,
            "label": p.label,
            "probability": p.probability,
            "top": [{"label": name, "probability": value} for name, value in list(p.probabilities.items())[:top]],
        }
        for p in predictions
    ]
    print_json({"predictions": rows, "quarantined": [{"path": q.path, "reason": q.reason} for q in bad]})


_PRINTERS = {"table": _as_table, "csv": _as_csv, "json": _as_json}
