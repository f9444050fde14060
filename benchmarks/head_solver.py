"""What solving a head costs as pictures and features become many: seconds and peak memory, each in a new process.

    python benchmarks/head_solver.py [--sizes 800x1024x2,10000x2048x100,100000x2048x100] [--kinds linear,kernel,auto]

Sizes are pictures x width x classes. Features are made up: rectified classes of several clusters each, in a file that
is read row by row as the store is. Prints a table in Markdown; memory is what the process had at most beyond what it
had before it solved. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import described

CLUSTERS = 3  # of each class, so that the kernel head has something to find
LANDMARKS = 3000


class OnDisk:
    """Features in a file of float32, one row after the other."""

    def __init__(self, path: Path, count: int, width: int):
        self.file, self.count, self.width = os.open(path, os.O_RDONLY), count, width

    def __len__(self) -> int:
        return self.count

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Float32 `(rows, width)`."""
        found = np.empty((len(rows), self.width), np.float32)
        for place, row in enumerate(rows):
            os.preadv(self.file, [found[place]], int(row) * 4 * self.width)
        return found


def make(path: Path, count: int, width: int, classes: int) -> None:
    """Write made-up features; picture number `i` is of class `i % classes`."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLUSTERS, classes, width)).astype(np.float32)
    with open(path, "wb") as file:
        for start in range(0, count, 4096):
            rows = np.arange(start, min(start + 4096, count))
            values = random.normal(size=(len(rows), width)).astype(np.float32) * 4
            values += centres[random.integers(0, CLUSTERS, len(rows)), rows % classes]
            file.write(np.maximum(values, 0).tobytes())


def solve(path: Path, count: int, width: int, classes: int, kind: str) -> None:
    """Solve and print seconds, megabytes and the kind of head; in a process of its own."""
    from headstart.training.solve import solve_best, solve_kernel, solve_linear

    features, labels = OnDisk(path, count, width), np.arange(count) % classes
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if kind == "linear":
        head: object = solve_linear(features, labels, classes, 0)
    elif kind == "kernel":
        head = solve_kernel(features, labels, classes, LANDMARKS, 0)
    else:
        head = solve_best(features, labels, classes, LANDMARKS, 0).chosen
    seconds = time.perf_counter() - started
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([seconds, megabytes, type(head).__name__]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="800x1024x2,10000x2048x100,100000x2048x100")
    parser.add_argument("--kinds", default="linear,kernel,auto")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        path, count, width, classes, kind = arguments.one
        return solve(Path(path), int(count), int(width), int(classes), kind)
    print(f"{described()}\n\n| pictures x width, classes | head | seconds | MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes.split(","):
            count, width, classes = (int(number) for number in size.split("x"))
            path = Path(folder) / "features"
            make(path, count, width, classes)
            for kind in arguments.kinds.split(","):
                command = [sys.executable, __file__, "--one", str(path), str(count), str(width), str(classes), kind]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                seconds, megabytes, head = json.loads(done.stdout)
                name = "linear" if head == "LinearHead" else "kernel"
                named = kind if kind == name else f"{kind}, takes {name}"
                print(f"| {count:,} x {width:,}, {classes} | {named} | {seconds:.1f} | {megabytes:.0f} |", flush=True)
    return None


if __name__ == "__main__":
    main()
