"""What oneDNN's convolutions do for training: the same steps with and without them, in turn, in new processes.

    python benchmarks/onednn_speed.py [--runs 3]

TensorFlow has them on by itself only where the processor has AVX-512 or more; headstart switches them on everywhere.
Prints pictures per second, medians, as a table in Markdown; nothing else should run on the machine meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

CASES = {"nano": 64, "mobilenet_0.25": 96, "mobilenet_0.5": 96, "resnet50": 96}
SWITCH = "TF_ENABLE_ONEDNN_OPTS"
_BATCH = 64
_STEPS = 8


def pictures_per_second(name: str, side: int) -> float:
    """Train a network with random weights on noise for a few steps."""
    import keras
    import numpy as np

    from headstart.models.backbones import find_backbone

    network = find_backbone(name).build(side)
    x = keras.layers.GlobalAveragePooling2D()(network.output)
    model = keras.Model(network.input, keras.layers.Dense(10, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    pictures = np.random.default_rng(0).normal(size=(_BATCH, side, side, 3)).astype(np.float32)
    labels = np.zeros(_BATCH, np.int32)
    model.train_on_batch(pictures, labels)
    started = time.perf_counter()
    for _ in range(_STEPS):
        model.train_on_batch(pictures, labels)
    return _STEPS * _BATCH / (time.perf_counter() - started)


def measured(name: str, switch: str) -> float:
    """In a new process: TensorFlow reads the switch once."""
    command = [sys.executable, __file__, "--one", name]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
        env=os.environ | {SWITCH: switch, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(pictures_per_second(arguments.one, CASES[arguments.one]))
        return
    machine = f"{os.cpu_count()} cores, {datetime.now(UTC).date()}"
    print(f"Training, pictures per second, medians of {arguments.runs}; {machine}\n")
    print("| network | size | without oneDNN | with oneDNN | times as fast |\n|---|---|---|---|---|")
    for name, side in CASES.items():
        runs = [(measured(name, "0"), measured(name, "1")) for _ in range(arguments.runs)]
        without, with_it = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {side} | {without:.0f} | {with_it:.0f} | {with_it / without:.1f} |", flush=True)


if __name__ == "__main__":
    main()
