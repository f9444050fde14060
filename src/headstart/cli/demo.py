"""headstart demo"""

import shlex
from pathlib import Path
from typing import Any

import click

from headstart.cli.output import json_option, print_json, print_table, say

_SIZE = 48
_SCRATCH_EPOCHS = 3


@click.command()
@click.option("--out", "-o", default="demo", show_default=True, metavar="FOLDER", help="Where to put it.")
@json_option
def demo(out: str, as_json: bool) -> None:
    """Train on 1,797 handwritten digits that come with scikit-learn, with the backbone in the box: no network.

    The digits become PNG files in FOLDER/digits, one folder for each class, as your own pictures would be. A head on
    the pretrained network goes to FOLDER/run, and the same network trained from scratch, to compare with, to
    FOLDER/scratch.
    """
    from headstart.loading import load_keras
    from headstart.workplace import check_place

    load_keras("headstart demo")
    from headstart.demo_data import write_digits

    digits = Path(out) / "digits"
    check_place(out, digits)
    pictures = write_digits(digits)
    if not as_json:
        say("{} pictures of 10 digits in {}. A head on [bold]nano[/], pretrained:", f"{pictures:,}", digits)
    pretrained = _train(digits, Path(out) / "run", not as_json, strategy="head")
    if not as_json:
        say("The same network from scratch, {} epochs:", _SCRATCH_EPOCHS)
    scratch = _train(
        digits, Path(out) / "scratch", not as_json, strategy="scratch", epochs=_SCRATCH_EPOCHS, augment="none"
    )
    if as_json:
        print_json({"pretrained": pretrained, "scratch": scratch})
        return
    _print_comparison({"nano, pretrained, a head": pretrained, "nano, from scratch": scratch})
    _print_next_steps(Path(out))


def _train(digits: Path, run: Path, progress: bool, **choices: Any) -> dict[str, Any]:
    import headstart

    metrics: dict[str, Any] = headstart.train(
        digits, out=run, backbone="nano", image_size=_SIZE, progress=progress, **choices
    ).metrics
    return metrics


def _print_comparison(trained: dict[str, dict[str, Any]]) -> None:
    rows = [(name, found["accuracy"], found["loss"], f"{found['seconds']:.1f}") for name, found in trained.items()]
    print_table(None, ("", "accuracy", "loss", "seconds"), rows)
    say("On {} digits that neither was trained on.", f"{next(iter(trained.values()))['n']:,}")


def _print_next_steps(out: Path) -> None:
    run = shlex.quote(str(out / "run"))
    example = sorted((out / "digits" / "7").iterdir())[0]
    say("Figures, predictions, the split and the model are in {}. Try it:", run)
    say("  headstart predict {} {}", run, shlex.quote(str(example)))
    say("With your own pictures, one folder for each class in PICTURES:")
    say("  headstart train PICTURES --out RUN --backbone nano       offline")
    say(
        "  headstart train PICTURES --out RUN                       with a larger network, MobileNetV2, that is fetched"
    )
