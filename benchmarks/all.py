"""All measurements that docs/performance.md has, one after another: what `make bench DATA=folder` runs.

    KERAS_HOME=... python benchmarks/all.py DATA [--quick] [--only extraction,memory] [--out build/bench]

DATA holds train/ and val/ with a few hundred JPEG files or more. It takes the better part of an hour on two cores;
--quick takes a few minutes and only shows that everything runs. A part that fails is named at the end and the others go
on; the exit code is 1 then. Prints one table of ratios, each measured in one run against its reference, and writes
results.json and results.md with what lies behind them. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import described, script
from report import comparisons_table

SMALL = ["--counts", "40,80,160"]

PARTS: dict[str, tuple[list[str], list[str]]] = {
    # what to run, and with what; the second is for --quick
    "extraction": (
        ["extraction.py", "--slice", "96", "--slices", "6", "--plain"],
        ["extraction.py", "--slice", "32", "--slices", "2", "--plain", "--backbones", "nano,mobilenet_v2"],
    ),
    "head": (
        ["head_against_keras.py", "--runs", "3"],
        ["head_against_keras.py", "--runs", "1", "--pictures", "60"],
    ),
    "finetune": (
        ["finetune_against_keras.py", "--runs", "2", "--pictures", "300"],
        [
            *("finetune_against_keras.py", "--runs", "1", "--pictures", "60", "--backbone", "mobilenet_v2"),
            *("--unfreeze", "10", "--epochs", "1"),
        ],
    ),
    "predict_one": (["predict_one.py", "--rounds", "7"], ["predict_one.py", "--rounds", "1"]),
    "scaling": (["scaling.py", "--counts", "1000,3000,10000"], ["scaling.py", *SMALL]),
    "memory": (["memory.py", "--counts", "1000,10000"], ["memory.py", *SMALL]),
    "serving": (["serving.py"], ["serving.py", "--seconds", "3", "--backbone", "nano"]),
    "cluster": (["cluster.py"], ["cluster.py", "--count", "200", "--rounds", "1"]),
    "scale": (["scale.py"], ["scale.py", "--count", "200"]),
    "incremental": (["incremental.py"], ["incremental.py", "--pictures", "100", "--rounds", "1"]),
}


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one part; gives what it wrote, with its text, or the reason why there is nothing."""
    file, *options = PARTS[name][arguments.quick]
    if name == "head":  # the only part whose weights are not in the package
        options += ["--weights", arguments.weights]
    if name == "scaling":
        options += ["--plot", f"{arguments.out}/scaling.svg"]
    written = Path(arguments.out) / f"{name}.json"
    written.unlink(missing_ok=True)
    command = script(file, arguments.data, *options, "--out", written)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not written.exists():
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        return {"benchmark": name, "failed": lines[-1]}
    return {**json.loads(written.read_text()), "printed": done.stdout}


def main() -> None:
    """Run the parts, print and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data")
    options.add_argument("--out", default="build/bench", metavar="FOLDER")
    options.add_argument("--quick", action="store_true", help="A dry run of a few minutes; its figures mean nothing.")
    options.add_argument("--only", default=",".join(PARTS), help="Which parts, with commas between.")
    options.add_argument("--weights", default="imagenet", help="For `head`; none where there are none to be had.")
    arguments = options.parse_args()
    wanted = arguments.only.split(",")
    if unknown := [name for name in wanted if name not in PARTS]:
        options.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    found = []
    for name in wanted:
        started = time.perf_counter()
        found.append(run(name, arguments))
        state = "failed" if "failed" in found[-1] else "done"
        print(f"{name}: {state} after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        _write(found, arguments)  # what there is so far stays when somebody ends it
    print(_text(found, arguments))
    sys.exit(any("failed" in part for part in found))


def _write(found: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    everything = json.dumps({"machine": described(), "parts": found}, indent=1)
    Path(arguments.out, "results.json").write_text(everything + "\n")
    Path(arguments.out, "results.md").write_text(_text(found, arguments) + "".join(map(_details, found)))


def _text(found: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    compared = [entry for part in found for entry in part.get("comparisons", [])]
    failed = [f"- `{part['benchmark']}` failed: {part['failed']}" for part in found if "failed" in part]
    about = f"{Path(arguments.data).resolve().name}; {described()}." + (" A dry run." if arguments.quick else "")
    return "\n\n".join([about, comparisons_table(compared), *(["\n".join(failed)] if failed else [])]) + "\n"


def _details(part: dict[str, Any]) -> str:
    return f"\n## {part['benchmark']}\n\n{(part.get('printed') or part['failed']).strip()}\n"


if __name__ == "__main__":
    main()
