"""What an audit finds of what was planted, and what else it reports: duplicates, wrong labels.

    KERAS_HOME=... python benchmarks/audit_on_flowers.py DATA [--backbones nano,mobilenet_0.25] [--seeds 3]

DATA has train and val folders of class folders. Into a copy of it go 20 exact copies of training pictures among those
for validation, 20 near ones (encoded again, resized, mirrored), and 30 training pictures under another class. Prints a
table in Markdown; with --json the same as a list. What is in DATA already counts as reported besides, whether it is a
false alarm or not: the row without plants says what that is.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

EXACT, NEAR, WRONG = 20, 20, 30


def plant(data: Path, seed: int) -> dict[str, set[str]]:
    """Plant what is to be found; gives the names of what was planted, of each kind."""
    chance = random.Random(seed)
    classes = sorted(folder.name for folder in (data / "train").iterdir())
    originals = sorted((data / "train").rglob("*.jpg"))
    drawn = chance.sample(originals, EXACT + NEAR + WRONG)
    planted: dict[str, set[str]] = {"exact": set(), "near": set(), "wrong": set()}
    for number, path in enumerate(drawn[:EXACT]):
        copy = data / "val" / path.parent.name / f"exact{number:02d}.jpg"
        shutil.copyfile(path, copy)
        planted["exact"].add(copy.relative_to(data).as_posix())
    for number, path in enumerate(drawn[EXACT : EXACT + NEAR]):
        copy = data / "val" / path.parent.name / f"near{number:02d}.jpg"
        _change(path, copy, number)
        planted["near"].add(copy.relative_to(data).as_posix())
    for number, path in enumerate(drawn[EXACT + NEAR :]):
        other = chance.choice([name for name in classes if name != path.parent.name])
        moved = data / "train" / other / f"wrong{number:02d}.jpg"
        path.rename(moved)
        planted["wrong"].add(moved.relative_to(data).as_posix())
    return planted


def _change(path: Path, copy: Path, number: int) -> None:
    with Image.open(path) as picture:
        changed = picture.convert("RGB")
    if number % 3 == 1:
        changed = changed.resize((160, 160), Image.Resampling.BICUBIC)
    elif number % 3 == 2:
        changed = changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changed.save(copy, quality=60)


def audit(data: Path, *options: str) -> dict[str, Any]:
    """What a new process finds."""
    command = [str(Path(sys.executable).parent / "headstart"), "audit", str(data), "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def count(found: dict[str, Any], planted: dict[str, set[str]]) -> dict[str, Any]:
    """How much of what was planted was found, and how much else was reported."""
    result: dict[str, Any] = {"shift": found["checks"]["shift"]["summary"], "seconds": round(found["seconds"], 1)}
    for check, kind in (("exact", "exact"), ("near", "near"), ("labels", "wrong")):
        findings = found["checks"][check]["findings"]
        hits, others = set(), 0
        for finding in findings:
            names = {picture["name"] for picture in finding["pictures"]} & planted[kind]
            hits |= names
            others += not names
        first = findings[: len(planted[kind])]
        among = sum(bool({picture["name"] for picture in one["pictures"]} & planted[kind]) for one in first)
        result[kind] = {"planted": len(planted[kind]), "found": len(hits), "others": others, "among_first": among}
    result["outliers"] = found["checks"]["outliers"]["found"]
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbones", default="nano,mobilenet_0.25")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", metavar="FOLDER", help="Where to write the pages.")
    arguments = parser.parse_args()
    results = []
    for seed in range(-1, arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            shutil.copytree(arguments.data, data, copy_function=shutil.copyfile)
            for place in (data, *data.rglob("*")):
                place.chmod(0o755 if place.is_dir() else 0o644)
            planted = plant(data, seed) if seed >= 0 else {"exact": set(), "near": set(), "wrong": set()}
            for backbone in arguments.backbones.split(","):
                options = ["--backbone", backbone]
                if arguments.keep:
                    options += ["--out", f"{arguments.keep}/{backbone}-{seed}"]
                results.append({"seed": seed, "backbone": backbone, **count(audit(data, *options), planted)})
    if arguments.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{arguments.data.name}; {os.cpu_count()} cores, {platform.machine()}, {datetime.now(UTC).date()}\n")
    print("found of planted, and groups or pictures reported besides\n")
    columns = ("exact", "besides", "near", "besides", "wrong labels", "besides", "of the first 30", "outliers", "s")
    print(f"| backbone | seed | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for row in results:
        cells = [row["backbone"], "nothing planted" if row["seed"] < 0 else row["seed"]]
        for kind in ("exact", "near", "wrong"):
            cells += [f"{row[kind]['found']} of {row[kind]['planted']}", row[kind]["others"]]
        cells += [row["wrong"]["among_first"], row["outliers"], row["seconds"]]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
