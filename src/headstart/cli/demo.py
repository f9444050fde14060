"""headstart demo"""

import shlex
from pathlib import Path

import click

from headstart.cli.output import json_option, print_json, say
from headstart.cli.train import print_result


@click.command()
@click.option("--out", "-o", default="demo", show_default=True, metavar="FOLDER", help="Where to put it.")
@json_option
def demo(out: str, as_json: bool) -> None:
    """Train on 1,797 handwritten digits that come with scikit-learn: no network, no pretrained weights.

    The digits become PNG files in FOLDER/digits, one folder for each class, as your own pictures would be.
    """
    import headstart
    from headstart.loading import load_keras
    from headstart.workplace import check_place

    load_keras("headstart demo")
    from headstart.demo_data import write_digits

    check_place(out, Path(out) / "digits")
    pictures = write_digits(Path(out) / "digits")
    if not as_json:
        say("{} pictures of 10 digits in {}/digits. Training on them:", f"{pictures:,}", out)
    run = headstart.train(
        Path(out) / "digits",
        out=Path(out) / "run",
        backbone="vgg16",
        weights="none",
        strategy="head",
        image_size=32,
        progress=not as_json,
    )
    if as_json:
        print_json(run.metrics)
        return
    print_result(run.metrics)
    example = sorted((Path(out) / "digits" / "7").iterdir())[0]
    say("  headstart predict {} {}", shlex.quote(str(run.path)), shlex.quote(str(example)))
    say("The backbone had random weights, for want of a network. With your own pictures and pretrained ones:")
    say("  headstart train PICTURES --out RUN")
