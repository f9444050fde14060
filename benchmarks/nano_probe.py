"""How much the features of `nano` are worth: heads on them, on those of random weights, and on a larger network's.

    KERAS_HOME=FOLDER python benchmarks/nano_probe.py DATA [DATA ...] [--image-size 96]

Runs `headstart train DATA --strategy head` for nano, for nano with random weights and for MobileNet 0.25 at 224 px
with ImageNet's weights (found in KERAS_HOME), each with a linear head and with the default one, and prints a table in
Markdown of validation accuracies. DATA holds train/ and val/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HEADS = ("linear", "auto")


def rows(image_size: int | None) -> dict[str, list[str]]:
    """The options of each row."""
    size = [] if image_size is None else ["--image-size", str(image_size)]
    return {
        "nano": ["--backbone", "nano", *size],
        "nano, random weights": ["--backbone", "nano", "--weights", "none", *size],
        "MobileNet 0.25, ImageNet, 224 px": ["--backbone", "mobilenet_0.25"],
    }


def accuracy(data: str, head: str, options: list[str], store: str) -> float:
    """Of one training, on the validation pictures."""
    command = [str(Path(sys.executable).parent / "headstart"), "train", data, "--strategy", "head", "--head", head]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *options, "--json", "--out", f"{folder}/run"],
            capture_output=True,
            text=True,
            env=os.environ | {"HEADSTART_STORE": store},
        )
    if done.returncode:
        sys.exit(done.stderr)
    return float(json.loads(done.stdout)["accuracy"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--image-size", type=int, help="of nano; its own by default")
    arguments = parser.parse_args()
    columns = [(data, head) for data in arguments.data for head in HEADS]
    print(f"Validation accuracy, {datetime.now(UTC).date()}\n")
    print("| features | " + " | ".join(f"{Path(data).name}, {head} head" for data, head in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    with tempfile.TemporaryDirectory() as store:
        for name, options in rows(arguments.image_size).items():
            found = [accuracy(data, head, options, store) for data, head in columns]
            print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
