"""Peaks of memory where pictures become many: extraction alone, evaluating, predicting, each as a process of its own.

    python benchmarks/memory.py DATA [--counts 1000,10000] [--backbone nano] [--extraction-alone] [--out FILE]

DATA's JPEG files are repeated, each under new content, so that nothing is reused. A RUN is trained on DATA as it is,
and evaluates and predicts all of them. Prints a table in Markdown: the peak of resident memory in MiB, and the most
pictures against the fewest.
"""

import argparse
import tempfile
from pathlib import Path

from machine import Spent, headstart, script, spent
from pictures import grow, jpegs, options
from report import Report, figure, numbers, table


def measure(arguments: argparse.Namespace) -> dict[str, dict[int, Spent]]:
    """What each process took, by what it does and by the number of pictures."""
    sources = jpegs(arguments.data)
    network = ("--backbone", arguments.backbone, "--weights", arguments.weights)
    found: dict[str, dict[int, Spent]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run, data, made = Path(folder) / "run", Path(folder) / "data", 0
        commands = {"extraction alone": script("extract_once.py", data, *network)}
        if not arguments.extraction_alone:
            spent(headstart("train", arguments.data, "--strategy", "head", *network, "--out", run), f"{folder}/store")
            commands["evaluate"] = headstart("evaluate", run, data, "--json")
            commands["predict"] = headstart("predict", run, data, "--format", "csv")
        for count in sorted(numbers(arguments.counts)):
            grow(data, sources, made, count)
            made = count
            for name, command in commands.items():
                found.setdefault(name, {})[count] = spent(command, f"{folder}/store-{count}")
    return found


def main() -> None:
    """Measure and print."""
    made = options(__doc__)
    made.add_argument("--counts", default="1000,10000")
    made.add_argument("--extraction-alone", action="store_true", help="Of large networks the rest takes hours.")
    arguments = made.parse_args()
    found = measure(arguments)
    counts = sorted(next(iter(found.values())))
    fewest, most = counts[0], counts[-1]
    report, rows = Report("memory"), []
    for name, each in found.items():
        what = f"{name}, {arguments.backbone}, {most:,} pictures: peak memory"
        times = report.compare(what, f"{fewest:,} pictures", [each[most].megabytes], [each[fewest].megabytes])
        rows.append([name, *(f"{each[count].megabytes:,.0f}" for count in counts), figure(times.median)])
    columns = ["peak MiB", *(f"{count:,} pictures" for count in counts), "ratio"]
    report.text += [f"{Path(arguments.data).name}, {arguments.backbone}.", table(columns, rows)]
    report.measured = {
        name: {str(count): {"MiB": done.megabytes, "seconds": done.seconds} for count, done in each.items()}
        for name, each in found.items()
    }
    report.publish(arguments.out)


if __name__ == "__main__":
    main()
