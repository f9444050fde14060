"""headstart export"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from headstart.cli.output import human_size, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from headstart.exporting.formats import FormatName


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "formats",
    multiple=True,
    required=True,
    type=click.Choice(["keras", "saved_model", "onnx", "openvino", "litert"]),
    help="Which format; may be given several times.",
)
@click.option(
    "--precision",
    type=click.Choice(["f32", "f16", "int8"]),
    default="f32",
    show_default=True,
    help="Of the weights. f16: onnx, openvino, litert. int8, calibrated on training pictures: openvino, litert.",
)
@click.option(
    "--out", "-o", metavar="FOLDER", help="Where each format gets a folder of its own.  [default: RUN/export]"
)
@click.option("--data", metavar="DATA", help="Where the pictures are now, if they are not where they were in training.")
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    default=1.5,
    show_default=True,
    metavar="POINTS",
    help="Percentage points of accuracy on the validation pictures that int8 may cost.",
)
@click.option("--force", is_flag=True, help="Replace exports that are there.")
@json_option
def export(run: str, formats: "Sequence[FormatName]", as_json: bool, **choices: Any) -> None:
    """Write RUN in formats that others use, with preprocessing and labels inside.

    Each is loaded again in a new process by its own runtime and compared with RUN before it gets its name; what differs
    by more than rounding is refused. Beside each lies use.py, which needs nothing of headstart.
    """
    import headstart

    found = headstart.export(run, formats, progress=not as_json, **choices)
    if as_json:
        print_json({"run": run, "exports": [one.to_dict() for one in found]})
        return
    rows = [
        (
            one.format,
            one.precision,
            f"{one.folder}/{one.file}",
            human_size(one.bytes),
            f"{one.compared.largest_difference:.1e}",
            "-" if one.accuracy is None else f"{one.accuracy.before:.4f} -> {one.accuracy.after:.4f}",
            f"{one.compared.pictures_per_second:,.0f}",
        )
        for one in found
    ]
    columns = ("format", "precision", "model", "size", "largest difference", "accuracy", "pictures/s")
    print_table(None, columns, rows)
    compared = found[0].compared
    say(
        "Compared on {} {}, {} at once, in new processes. Try it: python {} PICTURE",
        compared.pictures,
        compared.shown,
        " and ".join(map(str, compared.batches)),
        f"{found[-1].folder}/use.py",
    )
