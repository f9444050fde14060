"""headstart predict"""

import csv
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from headstart.cli.options import engine_options, open_engine
from headstart.cli.output import print_json, print_table
from headstart.errors import DataError
from headstart.texts import inert, printable

if TYPE_CHECKING:
    from headstart.answers import Prediction
    from headstart.bundle import Run


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
@click.option(
    "--min-precision",
    type=float,
    metavar="SHARE",
    help="Say nothing of pictures that it is not sure enough of, so that so many of its answers are right.",
)
@engine_options
def predict(
    run: str,
    pictures: Sequence[str],
    top: int,
    form: str,
    submission: str | None,
    min_precision: float | None,
    engine: str,
    address: str | None,
    workers: int | None,
) -> None:
    """Say what RUN takes PICTURES for: files, folders, zips or arrays of them.

    A picture that is unlike all that RUN has learned from is marked: nothing said of it can be trusted.
    """
    from headstart.answers import Prediction
    from headstart.bundle import Run
    from headstart.images.pictures import Quarantined
    from headstart.images.sources import list_any
    from headstart.submission import Sample

    opened = Run(run)
    least = 0.0 if min_precision is None else _least_confidence(opened, min_precision)
    sample = None if submission is None else Sample(submission, opened.classes)
    paths = [picture.path for picture in list_any(pictures)]
    bad: list[Quarantined] = []
    chosen = click.get_current_context().with_resource(open_engine(engine, address, workers))

    def good() -> Iterator[Prediction]:
        for item in chosen.stream(opened, paths):
            if isinstance(item, Quarantined):
                bad.append(item)
                click.echo(printable(f"left out {item.path}: {item.reason}"), err=True)
            else:
                yield item

    if sample is not None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(sample.filled(good()))
    else:
        _PRINTERS[form](good(), min(top, len(opened.classes)), bad, least)
    if len(bad) == len(paths):
        raise DataError("no picture could be decoded.")


def _least_confidence(run: "Run", precision: float) -> float:
    chosen = run.abstain_for(precision)
    click.echo(
        f"answering from a probability of {chosen.threshold:.4f} on: of the {chosen.n:,} validation pictures "
        f"{chosen.coverage:.1%} are answered, {chosen.precision:.1%} of them rightly.",
        err=True,
    )
    return chosen.threshold


def _note(prediction: "Prediction", least: float) -> str:
    notes = ["unlike the training data"] if prediction.unlike else []
    return ", ".join(notes + (["not sure enough"] if prediction.probability < least else []))


def _as_table(predictions: "Iterator[Prediction]", top: int, bad: list[Any], least: float) -> None:
    columns = ["picture", "place", "class", "probability", "note"]
    rows = [
        [p.path, place, "-" if p.probability < least else name, probability, _note(p, least) if place == 1 else ""]
        for p in predictions
        for place, (name, probability) in enumerate(list(p.probabilities.items())[:top], start=1)
    ]
    if not rows:
        return
    needless = {"place"} if top == 1 else set()
    needless |= set() if any(row[-1] for row in rows) else {"note"}
    shown = [number for number, name in enumerate(columns) if name not in needless]
    print_table(None, [columns[number] for number in shown], [[row[number] for number in shown] for row in rows])


def _as_csv(predictions: "Iterator[Prediction]", top: int, bad: list[Any], least: float) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "place", "label", "probability", "note"))
    for p in predictions:
        for place, (name, probability) in enumerate(list(p.probabilities.items())[:top], start=1):
            said = "" if p.probability < least else inert(name)
            writer.writerow((inert(p.path), place, said, probability, _note(p, least)))


def _as_json(predictions: "Iterator[Prediction]", top: int, bad: list[Any], least: float) -> None:
    rows = [
        {
            "path": p.path,
            "label": None if p.probability < least else p.label,
            "probability": p.probability,
            "unlike": p.unlike,
            "familiarity": p.familiarity,
            "top": [{"label": name, "probability": value} for name, value in list(p.probabilities.items())[:top]],
        }
        for p in predictions
    ]
    print_json({"predictions": rows, "quarantined": [{"path": q.path, "reason": q.reason} for q in bad]})


_PRINTERS = {"table": _as_table, "csv": _as_csv, "json": _as_json}
