"""What a Ray cluster on this machine makes of its cores: pictures a second with one worker, with two, and without Ray.

    python benchmarks/cluster.py DATA [--count 3000] [--backbone nano] [--rounds 3]

Each way is a process of its own with an empty store, kept on the cores that it is to have: one worker with all of Ray
and the command itself on one core, two on two. Beside them headstart alone on one core, on two, and twice on a core
each with half of the pictures, which is what two cores of this machine are worth. The pace is that of the features
between a tenth and nine tenths of the pictures, so starting is left out; it is in the seconds. Rounds are run in turn,
and ratios are those of one round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import HERE, in_turn
from pictures import grow, jpegs, options
from report import Report, comparisons_table, table

ONE, TWO = "Ray, one worker on one core", "Ray, two workers on two cores"
ALONE, CEILING = "headstart on two cores", "headstart, two processes on a core each"
SINGLE = "headstart on one core"


def pace(times: Sequence[tuple[float, int]], total: int) -> float:
    """Pictures a second between a tenth and nine tenths of them, by least squares."""
    done, points = 0, []
    for moment, count in times:
        done += count
        if 0.1 * total <= done <= 0.9 * total:
            points.append((moment, done))
    return statistics.linear_regression([moment for moment, _ in points], [count for _, count in points]).slope


class Timed:
    """An engine that takes down when pictures are done with."""

    def __init__(self, engine: Any):
        self.engine, self.times = engine, []

    def extract(self, paths: Any, work: Any, stat_cache: Any, advance: Any) -> Any:
        """See `headstart.features.engine.Engine`."""

        def note(count: int) -> None:
            self.times.append((time.perf_counter(), count))

        return self.engine.extract(paths, work, stat_cache, note)


def one(given: argparse.Namespace) -> None:
    """What a process of one way does; prints its pace and its seconds."""
    os.sched_setaffinity(0, set(map(int, given.cores.split(","))))
    import headstart as hs
    from headstart.features.engine import LOCAL

    started = time.perf_counter()
    engine = Timed(hs.RayEngine(workers=given.workers) if given.workers else LOCAL)
    choices = {"backbone": given.backbone, "weights": given.weights, "val": 0.5}
    found = hs.export_features(given.data, given.features, engine=engine, progress=False, **choices)
    assert found.extracted == found.pictures, found
    print(json.dumps({"pace": pace(engine.times, found.pictures), "seconds": time.perf_counter() - started}))


def begin(data: Path, folder: Path, cores: str, workers: int, given: argparse.Namespace) -> subprocess.Popen[str]:
    """Start a process of one way."""
    store = tempfile.mkdtemp(dir=folder)
    words = ["--one", "--cores", cores, "--workers", workers, "--features", f"{store}/features.npz"]
    words += [data, "--backbone", given.backbone, "--weights", given.weights]
    environment = {**os.environ, "HEADSTART_STORE": store, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not workers and "," not in cores:
        environment["HEADSTART_CORES"] = "1"
    command = [sys.executable, str(HERE / "cluster.py"), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def result(process: subprocess.Popen[str]) -> dict[str, float]:
    """What a process has printed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return json.loads(output.splitlines()[-1])


def together(processes: list[subprocess.Popen[str]]) -> dict[str, float]:
    """What processes that run at the same time come to."""
    found = [result(process) for process in processes]
    return {"pace": sum(one["pace"] for one in found), "seconds": max(one["seconds"] for one in found)}


def measure(given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Pace and seconds of each way, one of each for every round."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    first, second = map(str, cores)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        sources = jpegs(given.data)
        grow(folder / "all", sources, 0, given.count)
        for number in (0, 1):
            grow(folder / f"half{number}", sources, number * given.count // 2, (number + 1) * given.count // 2)

        def run(name: str, cores: str, workers: int) -> subprocess.Popen[str]:
            return begin(folder / name, folder, cores, workers, given)

        ways = {
            ONE: lambda: result(run("all", first, 1)),
            TWO: lambda: result(run("all", f"{first},{second}", 2)),
            ALONE: lambda: result(run("all", f"{first},{second}", 0)),
            CEILING: lambda: together([run("half0", first, 0), run("half1", second, 0)]),
            SINGLE: lambda: result(run("all", first, 0)),
        }
        for number in range(given.rounds):
            for name, spent in in_turn(ways, number).items():
                found.setdefault(name, []).append(spent)
                print(f"round {number + 1}, {name}: {spent}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    for name, kind in (("--one", None), ("--cores", str), ("--workers", int), ("--features", str)):
        more: dict[str, Any] = {"action": "store_true"} if kind is None else {"type": kind}
        parser.add_argument(name, help=argparse.SUPPRESS, **more)
    given = parser.parse_args()
    if given.one:
        one(given)
        return
    found = measure(given)
    report = Report("cluster")
    paces = {name: [one["pace"] for one in rounds] for name, rounds in found.items()}
    rows = [
        [name, f"{statistics.median(paces[name]):,.0f}", f"{statistics.median(one['seconds'] for one in rounds):.1f}"]
        for name, rounds in found.items()
    ]
    report.text += [
        f"{Path(given.data).name}, {given.backbone}, {given.count:,} pictures.",
        table(["way", "pictures/s", "seconds in all"], rows),
    ]
    for what, top, bottom in (
        ("Ray, two workers on two cores", TWO, ONE),
        ("headstart, two processes on a core each", CEILING, SINGLE),
        ("Ray, two workers on two cores", TWO, ALONE),
    ):
        report.compare(f"{what}: pictures/s", bottom, paces[top], paces[bottom])
    report.text.append(comparisons_table(report.comparisons))
    report.measured = found
    report.publish(given.out)


if __name__ == "__main__":
    main()
