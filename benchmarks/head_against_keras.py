"""headstart's head strategy against five epochs of plain Keras: whole processes, in turn, in one run.

    KERAS_HOME=... python benchmarks/head_against_keras.py DATA [--backbone mobilenet_0.25] [--runs 3]

Cold is an empty store without a converted model, warm is the same command again. Prints a table in Markdown of
medians, with the ratio of the medians; nothing else should run on the machine meanwhile.
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

HERE = Path(__file__).parent


def timed(command: list[str], store: Path) -> tuple[float, float]:
    """Seconds of a whole process, and the accuracy that it prints."""
    environment = {**os.environ, "HEADSTART_STORE": str(store), "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - started, json.loads(done.stdout)["accuracy"]


def one_run(data: str, backbone: str, weights: str) -> dict[str, tuple[float, float]]:
    """Plain Keras, headstart with an empty store, headstart with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        headstart = [str(Path(sys.executable).parent / "headstart"), "train", data, "--backbone", backbone]
        headstart += ["--weights", weights, "--strategy", "head", "--json", "--out"]
        plain = [sys.executable, str(HERE / "plain_keras.py"), data, "--backbone", backbone, "--weights", weights]
        return {
            "plain Keras, 5 epochs": timed(plain, store),
            "headstart, cold": timed([*headstart, f"{folder}/cold"], store),
            "headstart, warm": timed([*headstart, f"{folder}/warm"], store),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="mobilenet_0.25")
    parser.add_argument("--weights", default="imagenet", choices=["imagenet", "none"])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    runs = [one_run(arguments.data, arguments.backbone, arguments.weights) for _ in range(arguments.runs)]
    print(
        f"{Path(arguments.data).name}, {arguments.backbone}, weights {arguments.weights}; medians of {len(runs)} runs; "
    )
    print(f"{os.cpu_count()} cores, {platform.machine()}, {datetime.now(UTC).date()}\n")
    print("| | accuracy | seconds | times as fast |\n|---|---|---|---|")
    reference = statistics.median(run["plain Keras, 5 epochs"][0] for run in runs)
    for name in runs[0]:
        seconds = statistics.median(run[name][0] for run in runs)
        accuracy = statistics.median(run[name][1] for run in runs)
        print(f"| {name} | {accuracy:.4f} | {seconds:.1f} | {reference / seconds:.1f} |")


if __name__ == "__main__":
    main()
