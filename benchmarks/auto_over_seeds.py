"""What fine-tuning adds to the head alone, and whether it ever takes away: strategy auto over several seeds.

    KERAS_HOME=... python benchmarks/auto_over_seeds.py DATA [--backbone mobilenet_0.25] [--seeds 5] [--test 0.2]

Each seed has a test part of its own, split off before anything is trained. Prints a table in Markdown.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def train(arguments: argparse.Namespace, seed: int, folder: str) -> dict[str, Any]:
    """The metrics of one training in a new process."""
    command = [
        *(str(Path(sys.executable).parent / "headstart"), "train", arguments.data, "--out", f"{folder}/run{seed}"),
        *("--backbone", arguments.backbone, "--weights", arguments.weights, "--strategy", "auto", "--json"),
        *("--test", arguments.test, "--seed", str(seed)),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    metrics: dict[str, Any] = json.loads(done.stdout)
    return metrics


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="mobilenet_0.25")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test", default="0.2")
    arguments = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"{Path(arguments.data).name}, {arguments.backbone}; {machine}, {datetime.now(UTC).date()}\n")
    print("| seed | head val | kept val | head test | kept test | kept | seconds |\n|---|---|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            found = train(arguments, seed, folder)
            head = found["stages"]["head"]
            figures = (head["val"], found, head["test"], found["test"])
            rows.append([figure["accuracy"] for figure in figures])
            cells = " | ".join(f"{value:.4f}" for value in rows[-1])
            print(f"| {seed} | {cells} | {found['kept']} | {found['seconds']:.0f} |", flush=True)
    means = " | ".join(f"{statistics.mean(column):.4f}" for column in zip(*rows, strict=True))
    print(f"| mean | {means} | | |")


if __name__ == "__main__":
    main()
