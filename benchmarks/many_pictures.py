"""What listing, splitting and auditing cost as pictures become many: time and peak memory, each in a new process.

    python benchmarks/many_pictures.py [--counts 25000,50000,100000,200000] [--features-up-to 50000] [--folder FOLDER]

Makes tiny pictures (24x24 PNG of random patches, one in a hundred a copy of another) in ten class folders. The store is
empty before each row, so splitting reads and digests every file and auditing decodes it; "again" is the same audit once
more, which reads no file. Prints a table in Markdown: seconds, seconds of the processor, peak megabytes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

CLASSES = 10

STEPS = {
    "list": "listing = list_labelled(data)",
    "split": (
        "listing = list_labelled(data); store = Store(); store.prepare()\n"
        "digests, _ = hash_pictures([picture.path for picture in listing.pictures], store.stat_cache)\n"
        "make_dataset(listing, digests, Shares(0.2))"
    ),
    "audit": "command('audit', data, '--json', '--no-features')",
    "again": "command('audit', data, '--json', '--no-features')",
    "with features": "command('audit', data, '--json')",
}

SCRIPT = """
import contextlib, io, json, resource, sys, time
from headstart.features.extract import hash_pictures
from headstart.features.store import Store
from headstart.images.dataset import make_dataset
from headstart.images.sources import list_labelled
from headstart.images.split import Shares
def command(*words):
    from headstart.cli.main import cli
    sys.argv = ["headstart", *words]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cli()
    except SystemExit as end:
        assert not end.code
data = sys.argv[1]
started = time.perf_counter()
{step}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - started, time.process_time(), peak]))
"""


def make_pictures(folder: Path, first: int, count: int) -> None:
    """Write so many pictures more."""
    random = np.random.default_rng(first)
    for name in range(CLASSES):
        (folder / f"class{name}").mkdir(parents=True, exist_ok=True)
    for number in range(first, count):
        if number % 100 or number == first:
            coarse = random.integers(0, 256, (6, 6, 3), np.uint8)
            data = cv2.imencode(".png", cv2.resize(coarse, (24, 24)))[1].tobytes()
        (folder / f"class{number % CLASSES}" / f"{number:07d}.png").write_bytes(data)


def measure(data: Path, step: str, store: str) -> list[float]:
    """Seconds, seconds of the processor (start and imports, too) and peak megabytes of one step in a new process."""
    environment = {**os.environ, "HEADSTART_STORE": store}
    command = [sys.executable, "-c", SCRIPT.format(step=STEPS[step]), str(data)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="25000,50000,100000,200000")
    parser.add_argument("--features-up-to", type=int, default=0, metavar="N", help="With nano, up to so many pictures.")
    parser.add_argument("--folder", help="For pictures and stores.  [default: a temporary one]")
    arguments = parser.parse_args()
    counts = [int(text) for text in arguments.counts.split(",")]
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"{machine}, {datetime.now(UTC).date()}; seconds / of the processor / peak MB\n")
    names = [name for name in STEPS if name != "with features" or arguments.features_up_to]
    print("| pictures | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        data, made = Path(folder) / "data", 0
        for count in counts:
            make_pictures(data, made, count)
            made = count
            cells = []
            for step in names:
                if step == "with features" and count > arguments.features_up_to:
                    cells.append("")
                    continue
                shared = "audit" if step in ("again", "with features") else step
                figures = measure(data, step, f"{folder}/store-{count}-{shared}")
                cells.append("{:.1f} / {:.1f} / {:.0f}".format(*figures))
            print(f"| {count:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
