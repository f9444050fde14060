"""headstart's trainings against the same in plain Keras: what `head_` and `finetune_against_keras` share."""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import Spent, in_turn, spent
from pictures import some_of
from report import Report, parser, table

Command = Callable[[str, argparse.Namespace], list[str]]
"""Makes a command of the data and the options; headstart's ends in `--out`."""

COLD, WARM = "headstart, cold", "headstart, warm"


def options(text: str | None, backbone: str, weights: str, runs: int) -> argparse.ArgumentParser:
    """The options that both trainings have, with their defaults."""
    made = parser(text)
    made.add_argument("data")
    made.add_argument("--backbone", default=backbone)
    made.add_argument("--weights", default=weights, choices=["imagenet", "none"])
    made.add_argument("--runs", type=int, default=runs)
    made.add_argument("--pictures", type=int, metavar="N", help="Take about so many of DATA's only.")
    return made


def measure(name: str, what: str, plain: Command, own: Command, epochs: int, arguments: argparse.Namespace) -> Report:
    """Let plain Keras and headstart run in turn, as often as `arguments.runs` says.

    Args:
        name: of the benchmark.
        what: is trained, for people.
        plain: the command of plain Keras.
        own: the command of headstart.
        epochs: that plain Keras trains for.
        arguments: with `data`, `pictures` and `runs`, and what the commands need.
    """
    reference = f"plain Keras, {epochs} epochs"
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data
        if arguments.pictures:
            data = str(some_of(data, arguments.pictures, Path(folder) / "data"))
        rounds = []
        for turn in range(arguments.runs):
            rounds.append(_round(reference, plain(data, arguments), own(data, arguments), turn))
    report = Report(name)
    rows = [[reference, *_medians(rounds, reference), "1.0", ""]]
    for way in (COLD, WARM):
        seconds = [[done[key].seconds for done in rounds] for key in (reference, way)]
        found = report.compare(f"{what}: speed of {way}", reference, *seconds)
        rows.append([way, *_medians(rounds, way), f"{found.median:.1f}", found.spread])
    report.text += [
        f"{Path(arguments.data).name}, {what}; medians of {len(rounds)} rounds.",
        table(["", "accuracy", "seconds", "times as fast", "smallest to largest"], rows),
    ]
    report.measured["rounds"] = [
        {way: {"seconds": done.seconds, "accuracy": _accuracy(done)} for way, done in entry.items()} for entry in rounds
    ]
    return report


def _round(reference: str, plain: list[str], own: list[str], turn: int) -> dict[str, Spent]:
    """Plain Keras, headstart with an empty store, headstart with a full one; the first is the last every other time."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"

        def both() -> list[Spent]:
            return [spent([*own, f"{folder}/{name}"], store) for name in ("cold", "warm")]

        done = in_turn({reference: lambda: [spent(plain)], "headstart": both}, turn)
        return dict(zip((reference, COLD, WARM), done[reference] + done["headstart"], strict=True))


def _accuracy(done: Spent) -> float:
    return float(json.loads(done.output)["accuracy"])


def _medians(rounds: list[dict[str, Spent]], way: str) -> list[str]:
    accuracy = statistics.median(_accuracy(done[way]) for done in rounds)
    return [f"{accuracy:.4f}", f"{statistics.median(done[way].seconds for done in rounds):.1f}"]
