"""What straightening is worth: networks as Keras builds them on its OpenVINO backend, before and after it.

    python benchmarks/straightened.py [--rounds 5] [--networks mobilenet_v2,resnet50@128]

Beside them the way over TensorFlow, which takes seconds to convert. Random weights; the three run in turn on the same
noise. Prints pictures per second, medians, as a table in Markdown; nothing else should run on the machine meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from machine import in_turn, timed
from report import table

NETWORKS = "nano,mobilenet_0.25,mobilenet_v2,efficientnet_v2_b0,resnet50,densenet121"
AS_BUILT, STRAIGHTENED, OVER_TENSORFLOW = FORMS = ("as built", "straightened", "over TensorFlow")
COLUMNS = [
    *("network", "size", *FORMS, "times as fast as built", "as over TensorFlow"),
    *("seconds to convert", "over TensorFlow"),
]
_BATCH = 32


def convert(name: str, side: int, folder: Path) -> None:
    """Write a network in the forms that this process's backend has, and print the seconds of the last one."""
    import keras

    from headstart.features.convert import export_openvino
    from headstart.models.backbones import find_backbone

    keras.utils.set_random_seed(0)
    model = find_backbone(name).build(side)
    if keras.config.backend() == "openvino":
        model.export(str(folder / f"{AS_BUILT}.xml"), format="openvino", verbose=False)
    form = STRAIGHTENED if keras.config.backend() == "openvino" else OVER_TENSORFLOW
    print(timed(lambda: export_openvino(model, folder / f"{form}.xml")))


def seconds_of(backend: str, name: str, side: int, folder: Path) -> float:
    """Of converting with a backend, in a new process, as a process has only one."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, "--side", str(side), "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": backend},
    )
    return float(done.stdout.splitlines()[-1])


def row(name: str, side: int, rounds: int) -> list[object]:
    """Of the table."""
    import numpy as np

    from headstart.features.runtime import OpenVINORuntime

    pixels = np.random.default_rng(0).integers(0, 256, (_BATCH, side, side, 3), np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seconds = {backend: seconds_of(backend, name, side, folder) for backend in ("openvino", "tensorflow")}
        runs = {}
        for form in FORMS:
            with suppress(RuntimeError):  # as built it may hold on to the one picture that Keras exports with
                run = OpenVINORuntime(folder / f"{form}.xml", pixels=True)
                run(pixels)
                runs[form] = run
        contestants = {form: (lambda run=run: timed(lambda: run(pixels))) for form, run in runs.items()}
        turns = [in_turn(contestants, turn) for turn in range(rounds)]
    paces = {form: _BATCH / statistics.median(turn[form] for turn in turns) for form in runs}
    figures = [name, side, *(f"{paces[form]:.0f}" if form in paces else "none" for form in FORMS)]
    for form in (AS_BUILT, OVER_TENSORFLOW):
        of_each_turn = [turn[form] / turn[STRAIGHTENED] for turn in turns if form in turn]
        figures.append(f"{statistics.median(of_each_turn):.2f}" if of_each_turn else "")
    return [*figures, *(f"{seconds[backend]:.1f}" for backend in ("openvino", "tensorflow"))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", default=NETWORKS, help="NAME or NAME@PIXELS, with commas")
    for hidden in ("--one", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        convert(arguments.one, arguments.side, Path(arguments.folder))
        return
    networks = [network.partition("@") for network in arguments.networks.split(",")]
    rows = [row(name, int(side or 224), arguments.rounds) for name, _, side in networks]
    print(f"Pictures per second, medians of {arguments.rounds}; {os.cpu_count()} cores, {datetime.now(UTC).date()}\n")
    print(table(COLUMNS, rows))


if __name__ == "__main__":
    main()
