"""headstart's fine-tuning against plain Keras with the same layers trained: whole processes, in turn, in one run.

    python benchmarks/finetune_against_keras.py DATA [--backbone inception_v3] [--unfreeze 34] [--runs 1]

Both train the last layers of the backbone and a dropout of 0.2 with one dense layer for five epochs by SGD in batches
of 16, without augmentation, BatchNorm frozen. Cold is an empty store without a converted model, warm is the same
command again. Prints a table in Markdown of medians; nothing else should run on the machine meanwhile.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from head_against_keras import HERE, timed


def headstart_command(arguments: argparse.Namespace) -> list[str]:
    """The same training, but for `--out`."""
    return [
        *(str(Path(sys.executable).parent / "headstart"), "train", arguments.data, "--backbone", arguments.backbone),
        *("--weights", arguments.weights, "--strategy", "finetune", "--unfreeze", f"last:{arguments.unfreeze}"),
        *("--head", "dropout:0.2", "--optimizer", "sgd", "--learning-rate", "1e-3", "--schedule", "constant"),
        *("--augment", "none", "--batch-size", "16", "--epochs", str(arguments.epochs), "--json"),
        *("--mixed-precision", arguments.mixed_precision, "--precision", arguments.precision, "--out"),
    ]


def plain_command(arguments: argparse.Namespace) -> list[str]:
    """The same training in plain Keras."""
    return [
        *(sys.executable, str(HERE / "plain_keras.py"), arguments.data, "--backbone", arguments.backbone),
        *("--weights", arguments.weights, "--unfreeze", str(arguments.unfreeze), "--epochs", str(arguments.epochs)),
    ]


def one_run(arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Plain Keras, headstart with an empty store, headstart with a full one: seconds and accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        store, command = Path(folder) / "store", headstart_command(arguments)
        return {
            f"plain Keras, {arguments.epochs} epochs": timed(plain_command(arguments), store),
            "headstart, cold": timed([*command, f"{folder}/cold"], store),
            "headstart, warm": timed([*command, f"{folder}/warm"], store),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="inception_v3")
    parser.add_argument("--weights", default="none", choices=["imagenet", "none"])
    parser.add_argument("--unfreeze", type=int, default=34)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--mixed-precision", default="auto", choices=["auto", "on", "off"])
    parser.add_argument("--precision", default="auto", choices=["auto", "f32", "bf16"])
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    runs = [one_run(arguments) for _ in range(arguments.runs)]
    print(f"{Path(arguments.data).name}, {arguments.backbone} last:{arguments.unfreeze}, weights {arguments.weights}; ")
    print(f"medians of {len(runs)}; {os.cpu_count()} cores, {platform.machine()}, {datetime.now(UTC).date()}\n")
    print("| | accuracy | seconds | times as fast |\n|---|---|---|---|")
    first = next(iter(runs[0]))
    reference = statistics.median(run[first][0] for run in runs)
    for name in runs[0]:
        seconds = statistics.median(run[name][0] for run in runs)
        accuracy = statistics.median(run[name][1] for run in runs)
        print(f"| {name} | {accuracy:.4f} | {seconds:.1f} | {reference / seconds:.1f} |")


if __name__ == "__main__":
    main()
