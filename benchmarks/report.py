"""What a benchmark says in the end: ratios of what was measured in turn, a table in Markdown, the same in JSON."""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from machine import described


@dataclass(frozen=True)
class Ratio:
    """One thing over another, in several rounds.

    Attributes:
        median: of the ratios of the rounds.
        smallest: of them.
        largest: of them.
        rounds: how many there were.
    """

    median: float
    smallest: float
    largest: float
    rounds: int

    @property
    def spread(self) -> str:
        """The smallest and the largest, for a table."""
        return f"{figure(self.smallest)} to {figure(self.largest)}"


def ratio(tops: Sequence[float], bottoms: Sequence[float]) -> Ratio:
    """The ratios of two things, round by round: what a drift of the machine's clock between rounds does not touch."""
    found = [top / bottom for top, bottom in zip(tops, bottoms, strict=True)]
    return Ratio(statistics.median(found), min(found), max(found), len(found))


def figure(value: float) -> str:
    """A ratio with as many digits as mean something."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


@dataclass
class Report:
    """What a benchmark has found.

    Attributes:
        benchmark: its name.
        text: what is printed, in Markdown.
        comparisons: one for each line of the table that `all.py` makes: what, its reference, their ratio.
        measured: everything that was measured.
        machine: and the date.
    """

    benchmark: str
    text: list[str] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    machine: str = field(default_factory=described)

    def compare(self, what: str, reference: str, tops: Sequence[float], bottoms: Sequence[float]) -> Ratio:
        """Keep a ratio, and give it."""
        found = ratio(tops, bottoms)
        self.comparisons.append({"what": what, "reference": reference, **asdict(found)})
        return found

    def publish(self, out: str | None) -> None:
        """Print it and, where somebody wants that, write it down."""
        self.text.append(f"{self.machine}.")
        print("\n\n".join(self.text), flush=True)
        if out:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            Path(out).write_text(json.dumps(asdict(self), indent=1) + "\n")


def comparisons_table(comparisons: Iterable[dict[str, Any]]) -> str:
    """What all benchmarks have found, in one table."""
    rows = []
    for entry in comparisons:
        found = Ratio(*(entry[name] for name in ("median", "smallest", "largest", "rounds")))
        rows.append([entry["what"], entry["reference"], figure(found.median), found.rounds, found.spread])
    return table(["what", "reference", "ratio", "median of", "spread"], rows)


def parser(text: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", metavar="FILE", help="Write what was measured as JSON.")
    return made


def numbers(text: str) -> list[int]:
    """For options: `1000,3000` as a list."""
    return [int(part) for part in text.split(",")]
