"""What the second time costs: nothing new, or one picture in a hundred, against the first time with an empty store.

    python benchmarks/incremental.py DATA [--pictures 2000] [--backbone nano] [--rounds 3] [--out FILE]

DATA's JPEG files are repeated, each under new content. In every round, in new processes: as many pictures with an empty
store (cold), the same again, and again with one in a hundred more. Start-up is the same command on ten pictures whose
features are kept, before and after each of these; what is left when their mean is taken away is beyond start-up. All
this for extraction alone and for a whole training with a solved head, which solves the head anew every time. Prints a
table in Markdown; nothing else should run on the machine meanwhile.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import headstart, script, spent
from pictures import grow, jpegs, options
from report import Ratio, Report, figure, ratio, table

COLD, AGAIN, MORE, START = "cold", "nothing new", "1 % more", "start-up"
BEFORE_AGAIN, BEFORE_MORE = "start-up around nothing new", "start-up around 1 % more"
FEW = 10

Process = Callable[[Path, str], list[str]]
"""Makes a command of the pictures and a name for what it writes."""


def measure(process: Process, sources: list[Path], pictures: int, folder: Path) -> dict[str, float]:
    """Seconds in one round of one kind of process; start-up before and after what it is taken from."""
    data, few, store = folder / "data", folder / "few", folder / "store"
    grow(data, sources, 0, pictures)
    grow(few, _of_each_class(sources), 0, FEW)
    starts: list[float] = []

    def seconds(of: Path, name: str) -> float:
        return spent(process(of, name), store).seconds

    def between_starts(name: str) -> tuple[float, float]:
        starts.extend([] if starts else [seconds(few, "start")])
        taken = seconds(data, name)
        starts.append(seconds(few, f"start-{name}"))
        return taken, statistics.fmean(starts[-2:])

    found = {COLD: seconds(data, "cold")}
    seconds(few, "few")  # these are kept from now on
    found[AGAIN], found[BEFORE_AGAIN] = between_starts("again")
    grow(data, sources, pictures, pictures + max(1, pictures // 100))
    found[MORE], found[BEFORE_MORE] = between_starts("more")
    return {**found, START: statistics.median(starts)}


def rows(name: str, rounds: list[dict[str, float]], report: Report) -> list[list[str]]:
    """The lines of one kind of process."""
    seconds = {way: [done[way] for done in rounds] for way in rounds[0]}
    lines = []
    for way in (COLD, AGAIN, MORE, START):
        share, excess = ratio(seconds[way], seconds[COLD]), ""
        if way in (AGAIN, MORE):
            report.compare(f"{name}, {way}: seconds", "cold", seconds[way], seconds[COLD])
            starts = seconds[BEFORE_AGAIN if way == AGAIN else BEFORE_MORE]
            left = [taken - start for taken, start in zip(seconds[way], starts, strict=True)]
            beyond: Ratio = report.compare(f"{name}, {way}: seconds beyond start-up", "cold", left, seconds[COLD])
            excess = f"{figure(beyond.median)} ({beyond.spread})"
        cells = [f"{statistics.median(seconds[way]):.2f}", figure(share.median), share.spread, excess]
        lines.append([f"{name}, {way}", *cells])
    return lines


def main() -> None:
    """Measure and print."""
    made = options(__doc__)
    made.add_argument("--pictures", type=int, default=2000)
    made.add_argument("--rounds", type=int, default=3)
    arguments = made.parse_args()
    sources = jpegs(arguments.data)
    report = Report("incremental")
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(arguments.rounds):
        for name in ("extraction", "training"):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                process = _processes(arguments, folder)[name]
                found.setdefault(name, []).append(measure(process, sources, arguments.pictures, Path(folder)))
    lines = [line for name, rounds in found.items() for line in rows(name, rounds, report)]
    columns = ["", "seconds", "of cold", "smallest to largest", "beyond start-up, of cold"]
    about = f"{Path(arguments.data).name}, {arguments.pictures:,} pictures, {arguments.backbone}"
    report.text += [f"{about}; medians of {arguments.rounds} rounds.", table(columns, lines)]
    report.measured = dict(found)
    report.publish(arguments.out)


def _processes(arguments: argparse.Namespace, folder: str) -> dict[str, Process]:
    network = ("--backbone", arguments.backbone, "--weights", arguments.weights)

    def training(data: Path, name: str) -> list[str]:
        return headstart("train", data, "--strategy", "head", *network, "--out", f"{folder}/run-{name}", "--json")

    return {"extraction": lambda data, name: script("extract_once.py", data, *network), "training": training}


def _of_each_class(sources: list[Path]) -> list[Path]:
    """Two sources of each class, of five classes at most, so that ten pictures can be trained on."""
    classes: dict[str, list[Path]] = {}
    for path in sources:
        classes.setdefault(path.parent.name, []).append(path)
    return [each[number] for number in range(2) for each in list(classes.values())[:5] if number < len(each)]


if __name__ == "__main__":
    main()
