"""How cost grows with the number of pictures: a whole training with a solved head, its seconds and its peak of memory.

    python benchmarks/scaling.py DATA [--counts 1000,3000,10000,30000] [--backbone nano] [--runs 1] [--plot FILE]

DATA's JPEG files are repeated, each under new content: a comment makes another file of the same picture, so nothing is
reused. Each count has an empty store (cold: extraction and training), and then the same command again (warm: training
alone). Lines are fitted by least squares. A machine's clock drifts while thousands of pictures are worked on, so beside
the seconds as they were there are those "at one pace": divided by how long a fixed small piece of work took meanwhile.
Pictures repeat, so accuracies mean nothing here. Prints tables in Markdown; `--plot` draws the lines as SVG.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import Spent, headstart, spent
from pictures import grow, jpegs, options
from plot import Panel, Series, drawn
from report import Report, numbers, table

COLD, WARM = "cold", "warm"


@dataclass(frozen=True)
class Line:
    """A straight line through points, by least squares.

    Attributes:
        slope: per unit of x.
        intercept: at zero.
        r_squared: the share of the variance that it explains.
        residuals: of the points, in their order: measured less fitted.
    """

    slope: float
    intercept: float
    r_squared: float
    residuals: list[float]


def fitted_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Fit a line; it takes two points with different x at least."""
    slope, intercept = statistics.linear_regression(xs, ys)
    residuals = [y - slope * x - intercept for x, y in zip(xs, ys, strict=True)]
    middle = statistics.fmean(ys)
    total = sum((y - middle) ** 2 for y in ys)
    explained = 1 - sum(value**2 for value in residuals) / total if total else 1.0
    return Line(slope, intercept, explained, residuals)


def measure(arguments: argparse.Namespace) -> dict[tuple[int, str], list[Spent]]:
    """What cold and warm trainings took, for each count: each round from the fewest pictures to the most."""
    found: dict[tuple[int, str], list[Spent]] = {}
    sources, counts = jpegs(arguments.data), sorted(numbers(arguments.counts))
    network = ("--backbone", arguments.backbone, "--weights", arguments.weights)
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            data, made = Path(folder) / "data", 0
            for count in counts:
                grow(data, sources, made, count)
                made = count
                for way in (COLD, WARM):
                    out = ("--out", f"{folder}/run-{count}-{way}", "--json")
                    command = headstart("train", data, "--strategy", "head", *network, *out)
                    found.setdefault((count, way), []).append(spent(command, f"{folder}/store-{count}"))
    return found


def at_one_pace(found: dict[tuple[int, str], list[Spent]]) -> dict[tuple[int, str], float]:
    """Median seconds of each, had the machine always been as fast as it was in the middle of all processes."""
    middle = statistics.median(done.beat for each in found.values() for done in each)
    return {key: statistics.median(done.seconds * middle / done.beat for done in each) for key, each in found.items()}


def tables(found: dict[tuple[int, str], list[Spent]], report: Report) -> dict[str, Line]:
    """What was measured and the lines through it, for people; gives the lines."""
    counts = sorted({count for count, _ in found})
    paced = at_one_pace(found)
    seconds = {key: statistics.median(done.seconds for done in each) for key, each in found.items()}
    memory = {key: statistics.median(done.megabytes for done in each) for key, each in found.items()}
    rows = []
    for count in counts:
        times = [f"{values[count, way]:.1f}" for way in (COLD, WARM) for values in (seconds, paced)]
        rows.append([f"{count:,}", *times, *(f"{memory[count, way]:,.0f}" for way in (COLD, WARM))])
    columns = ["pictures", "cold, s", "at one pace", "warm, s", "at one pace", "cold, peak MiB", "warm, peak MiB"]
    lines = {}
    for name, unit, values in (("seconds", "s", seconds), ("at one pace", "s", paced), ("peak memory", "MiB", memory)):
        for way in (COLD, WARM):
            lines[f"{way}, {name}"] = (unit, fitted_line(counts, [values[count, way] for count in counts]))
    fitted = [
        [
            *(name, f"{line.intercept:.1f} {unit}", f"{1000 * line.slope:.2f} {unit}", f"{line.r_squared:.4f}"),
            ", ".join(f"{value:+.1f}" for value in line.residuals),
        ]
        for name, (unit, line) in lines.items()
    ]
    report.text += [
        table(columns, rows),
        table(["line", "at 0 pictures", "for each 1,000 pictures", "R²", "residuals, in the order above"], fitted),
    ]
    return {name: line for name, (_, line) in lines.items()}


def plotted(found: dict[tuple[int, str], list[Spent]], lines: dict[str, Line], title: str) -> str:
    """Seconds at one pace and peaks of memory over the number of pictures, as SVG."""
    paced = at_one_pace(found)
    memory = {key: statistics.median(done.megabytes for done in each) for key, each in found.items()}

    def series(values: dict[tuple[int, str], float], name: str) -> list[Series]:
        made = []
        for way, means in ((COLD, "cold: extraction and training"), (WARM, "warm: training alone")):
            points = [(float(count), value) for (count, which), value in sorted(values.items()) if which == way]
            line = lines[f"{way}, {name}"]
            made.append(Series(f"{means} (R² {line.r_squared:.4f})", points, (line.slope, line.intercept)))
        return made

    across = "pictures"
    return drawn(
        [
            Panel(f"{title}: time", across, "time of the whole process (s)", series(paced, "at one pace")),
            Panel(f"{title}: memory", across, "peak memory (MiB)", series(memory, "peak memory")),
        ]
    )


def main() -> None:
    """Measure, print and draw."""
    made = options(__doc__)
    made.add_argument("--counts", default="1000,3000,10000,30000")
    made.add_argument("--runs", type=int, default=1)
    made.add_argument("--plot", metavar="FILE", help="Draw it as SVG.")
    arguments = made.parse_args()
    found = measure(arguments)
    report = Report("scaling")
    title = f"{arguments.backbone}, solved head"
    report.text.append(f"{Path(arguments.data).name}, {title}; medians of {arguments.runs} rounds, whole processes.")
    lines = tables(found, report)
    report.measured = {
        "processes": [
            {"pictures": count, "way": way, "seconds": done.seconds, "MiB": done.megabytes, "beat": done.beat}
            for (count, way), each in found.items()
            for done in each
        ],
        "lines": {name: asdict(line) for name, line in lines.items()},
    }
    _compare(found, report)
    if arguments.plot:
        Path(arguments.plot).parent.mkdir(parents=True, exist_ok=True)
        Path(arguments.plot).write_text(plotted(found, lines, title))
    report.publish(arguments.out)


def _compare(found: dict[tuple[int, str], list[Spent]], report: Report) -> None:
    """The most pictures against the fewest, for `all.py`."""
    fewest, most = min(count for count, _ in found), max(count for count, _ in found)
    for way in (COLD, WARM):
        sides = found[most, way], found[fewest, way]
        for what, key in (("seconds", "seconds"), ("peak memory", "megabytes")):
            tops, bottoms = ([getattr(done, key) for done in each] for each in sides)
            report.compare(f"training, {way}, {most:,} pictures: {what}", f"{fewest:,} pictures", tops, bottoms)


if __name__ == "__main__":
    main()
