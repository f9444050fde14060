"""What the second time costs: nothing new, or one picture in a hundred, against the first time with an empty store.

    python benchmarks/incremental.py DATA [--pictures 2000] [--backbone nano] [--rounds 3] [--out FILE]

DATA's JPEG files are repeated, each under new content. In every round, in new processes: as many pictures with an empty
store (cold), the same again, and again with one in a hundred more. Start-up is the same command on ten pictures whose
features are kept; the excess is what is left of the time when start-up is taken away. All this for extraction alone and
for a whole training with a solved head, which solves the head anew every time. Prints a table in Markdown; nothing else
should run on the machine meanwhile.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import Spent, headstart, script, spent
from pictures import grow, jpegs
from report import Ratio, Report, figure, parser, ratio, table

COLD, AGAIN, MORE, START = "cold", "nothing new", "1 % more", "start-up"
FEW = 10

Process = Callable[[Path, str], list[str]]
"""Makes a command of the pictures and a name for what it writes."""


def measure(process: Process, sources: list[Path], pictures: int, folder: Path) -> dict[str, Spent]:
    """One round of one kind of process."""
    data, few, store = folder / "data", folder / "few", folder / "store"
    grow(data, sources, 0, pictures)
    grow(few, _of_each_class(sources), 0, FEW)
    found = {COLD: spent(process(data, "cold"), store), AGAIN: spent(process(data, "again"), store)}
    grow(data, sources, pictures, pictures + max(1, pictures // 100))
    found[MORE] = spent(process(data, "more"), store)
    spent(process(few, "few"), store)
    return {**found, START: spent(process(few, "start"), store)}


def rows(name: str, rounds: list[dict[str, Spent]], report: Report) -> list[list[str]]:
    """The lines of one kind of process."""
    seconds = {way: [done[way].seconds for done in rounds] for way in (COLD, AGAIN, MORE, START)}
    lines = []
    for way in (COLD, AGAIN, MORE, START):
        share, excess = ratio(seconds[way], seconds[COLD]), ""
        if way in (AGAIN, MORE):
            report.compare(f"{name}, {way}: seconds", "cold", seconds[way], seconds[COLD])
            left = [taken - start for taken, start in zip(seconds[way], seconds[START], strict=True)]
            beyond: Ratio = report.compare(f"{name}, {way}: seconds beyond start-up", "cold", left, seconds[COLD])
            excess = f"{figure(beyond.median)} ({beyond.spread})"
        cells = [f"{statistics.median(seconds[way]):.2f}", figure(share.median), share.spread, excess]
        lines.append([f"{name}, {way}", *cells])
    return lines


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("--pictures", type=int, default=2000)
    options.add_argument("--backbone", default="nano")
    options.add_argument("--weights", default="imagenet")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", help="For pictures and stores.  [default: a temporary one]")
    arguments = options.parse_args()
    sources = jpegs(arguments.data)
    report = Report("incremental")
    found: dict[str, list[dict[str, Spent]]] = {}
    for _ in range(arguments.rounds):
        for name in ("extraction", "training"):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                process = _processes(arguments, folder)[name]
                found.setdefault(name, []).append(measure(process, sources, arguments.pictures, Path(folder)))
    lines = [line for name, rounds in found.items() for line in rows(name, rounds, report)]
    columns = ["", "seconds", "of cold", "smallest to largest", "beyond start-up, of cold"]
    about = f"{Path(arguments.data).name}, {arguments.pictures:,} pictures, {arguments.backbone}"
    report.text += [f"{about}; medians of {arguments.rounds} rounds.", table(columns, lines)]
    report.measured = {
        name: [{way: done.seconds for way, done in each.items()} for each in rounds] for name, rounds in found.items()
    }
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
