"""What the four ways of treating BatchNorm cost and bring: the same fine-tuning with each, in turn, in one run.

    KERAS_HOME=... python benchmarks/batchnorm_modes.py DATA [--backbone mobilenet_0.25] [--epochs 10] [--seeds 1]

Head first, fine-tuning from there (strategy auto); a fifth of the pictures is set aside for testing. Prints a table in
Markdown: the head alone, the fine-tuned model by itself, what was kept, and the seconds of the whole process with an
empty store. Means over the seeds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from headstart.recipe import BatchNorm


def run(arguments: argparse.Namespace, mode: str, seed: int) -> dict[str, Any]:
    """The metrics of one training in a new process with a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(Path(sys.executable).parent / "headstart"), "train", arguments.data, "--out", f"{folder}/run"),
            *("--backbone", arguments.backbone, "--weights", arguments.weights, "--strategy", "auto", "--json"),
            *("--test", "0.2", "--augment", arguments.augment, "--epochs", str(arguments.epochs)),
            *("--batchnorm", mode, "--seed", str(seed)),
        ]
        environment = {**os.environ, "HEADSTART_STORE": f"{folder}/store", "TF_CPP_MIN_LOG_LEVEL": "3"}
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=environment)
        return {**json.loads(done.stdout), "whole": time.perf_counter() - started}


def row(mode: str, found: list[dict[str, Any]]) -> str:
    """One line of the table."""

    def mean(*path: str) -> str:
        values = []
        for metrics in found:
            value: Any = metrics
            for name in path:
                value = value[name]
            values.append(value)
        return f"{statistics.mean(values):.4f}"

    cells = [mean("stages", stage, side, "accuracy") for stage in ("head", "finetune") for side in ("val", "test")]
    seconds = statistics.mean(metrics["whole"] for metrics in found)
    return f"| {mode} | {' | '.join(cells)} | {mean('accuracy')} | {mean('test', 'accuracy')} | {seconds:.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="mobilenet_0.25")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--augment", default="views=2")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    print(
        f"{Path(arguments.data).name}, {arguments.backbone}, at most {arguments.epochs} epochs, {arguments.augment}; "
    )
    print(
        f"means of {arguments.seeds} seeds; {os.cpu_count()} cores, {platform.machine()}, {datetime.now(UTC).date()}\n"
    )
    print("| BatchNorm | head val | head test | fine-tuned val | fine-tuned test | kept val | kept test | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for mode in get_args(BatchNorm):
        print(row(mode, [run(arguments, mode, seed) for seed in range(arguments.seeds)]), flush=True)


if __name__ == "__main__":
    main()
