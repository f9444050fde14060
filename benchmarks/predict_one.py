"""One picture in a new process: `headstart predict` against a script that does the same in plain Keras.

    python benchmarks/predict_one.py DATA [--backbone nano] [--rounds 5] [--out FILE]

Trains a head on DATA first, unless a RUN is given. Then both classify the same picture in turn, after one round that
is not counted: seconds from start to exit, and the peak of memory of each process. Prints a table in Markdown; nothing
else should run on the machine meanwhile.
"""

import json
import statistics
import tempfile
from pathlib import Path

from machine import Spent, headstart, in_turn, script, spent
from pictures import jpegs
from report import Report, figure, parser, table

OWN, PLAIN = "headstart predict", "plain Keras"


def measure(run: Path, picture: Path, rounds: int) -> list[dict[str, Spent]]:
    """Both in turn, so often and once more."""
    commands = {
        OWN: headstart("predict", run, picture, "--json"),
        PLAIN: script("plain_predict.py", run / "model.keras", picture),
    }
    contestants = {name: lambda command=command: spent(command) for name, command in commands.items()}
    return [in_turn(contestants, turn) for turn in range(rounds + 1)][1:]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("--run", type=Path, help="A RUN to predict with; otherwise one is made.")
    options.add_argument("--backbone", default="nano", help="Of the RUN that is made.")
    options.add_argument("--weights", default="imagenet")
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "run"
        if arguments.run is None:
            network = ("--backbone", arguments.backbone, "--weights", arguments.weights)
            command = headstart("train", arguments.data, "--strategy", "head", *network, "--out", run, "--json")
            spent(command, f"{folder}/store")
        done = measure(run, jpegs(arguments.data)[0], arguments.rounds)
        name = arguments.backbone if arguments.run is None else str(arguments.run)
    report, rows = Report("predict_one"), []
    said = {way: json.loads(done[0][way].output) for way in (OWN, PLAIN)}
    probability = {OWN: said[OWN]["predictions"][0]["probability"], PLAIN: said[PLAIN]["probability"]}
    columns = {way: ([one[way].seconds for one in done], [one[way].megabytes for one in done]) for way in (OWN, PLAIN)}
    report.compare(f"one picture, {name}: speed of {OWN}", PLAIN, columns[PLAIN][0], columns[OWN][0])
    report.compare(f"one picture, {name}: peak memory of {OWN}", PLAIN, columns[OWN][1], columns[PLAIN][1])
    for way, (seconds, megabytes) in columns.items():
        figures = [f"{statistics.median(seconds):.2f}", f"{statistics.median(megabytes):,.0f}"]
        rows.append([way, *figures, f"{probability[way]:.4f}"])
    speed, memory = report.comparisons
    text = f"{OWN} is {figure(speed['median'])} times as fast in {figure(memory['median'])} of the memory."
    report.text += [
        f"{name}, medians of {len(done)} rounds.",
        table(["", "seconds", "peak MiB", "probability of the likeliest class"], rows),
        text,
    ]
    report.measured = {way: {"seconds": values[0], "MiB": values[1]} for way, values in columns.items()}
    report.publish(arguments.out)


if __name__ == "__main__":
    main()
