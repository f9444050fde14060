"""The files of a RUN: what they are called, how they are written and read.

What was written by others, or damaged, is an error of Python's own here; who opens a RUN makes a sentence of it.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np

from headstart.errors import RunError
from headstart.features.keys import file_digest
from headstart.features.runtime import Precision
from headstart.objects.addresses import require_local
from headstart.recipe import Fit, Output
from headstart.texts import inert

FORMAT = 1
"""Raise this when the files in a RUN change their meaning."""

ABOUT = "bundle.json"
METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
SPLITS = "splits.csv"
HISTORY = "history.csv"
QUARANTINE = "quarantine.csv"
MODEL = "model.keras"
FROZEN = "runtime/frozen.xml"
TRAINABLE = "runtime/trainable.xml"
FAMILIARITY = "runtime/usual.safetensors"

STAGES = {"head": "head alone", "start": "as it began", "finetune": "fine-tuned", "scratch": "from scratch"}
"""What people are told for the names of stages."""

AGAIN = "Train it again, or copy the whole folder once more."
"""What to do about a RUN that is damaged."""

ODD_NAMES = "surrogateescape"
"""How tables are encoded and decoded: names on disk need not be text; they are written down byte for byte."""

_LARGEST_SIDE = 1 << 14

COLUMNS = ("path", "side", "label", "predicted", "probability")
"""The columns of `predictions.csv` before those of the classes."""


@dataclass(frozen=True)
class Judged:
    """What a classifier said of labelled pictures.

    Attributes:
        names: the pictures, as `predictions.csv` calls them.
        labels: integer `(pictures,)`, the true classes.
        probabilities: float64 `(pictures, classes)`, to the last bit what was reported.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray


def columns(classes: Sequence[str]) -> tuple[str, ...]:
    """The columns of `predictions.csv`."""
    return (*COLUMNS, *(f"class {name}" if name in COLUMNS else name for name in classes))


def read_judged(path: Path, classes: Sequence[str], side: str) -> Judged:
    """Read the rows of one side of `predictions.csv`.

    Args:
        path: the file.
        classes: those of the RUN, in their order.
        side: `val` or `test`.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not what was written.
    """
    numbers = {inert(name): number for number, name in enumerate(classes)}
    names, labels, rows = [], [], []
    with open(path, newline="", encoding="utf-8", errors=ODD_NAMES) as file:
        reader = csv.reader(file)
        if next(reader, None) != [inert(name) for name in columns(classes)]:
            raise ValueError("it has other columns")
        for row in reader:
            if len(row) != len(COLUMNS) + len(classes) or row[2] not in numbers:
                raise ValueError(f"line {reader.line_num} is not of this RUN")
            if row[1] == side:
                names.append(row[0])
                labels.append(numbers[row[2]])
                rows.append(np.array(row[len(COLUMNS) :], np.float64))
    values = np.stack(rows) if rows else np.zeros((0, len(classes)))
    return Judged(tuple(names), np.array(labels, int), values)


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `bundle.json` with the digests of the model's files beside it."""
    names = [MODEL, *(path.relative_to(folder).as_posix() for path in sorted(folder.glob("runtime/*")))]
    digests = {name: file_digest(folder / name) for name in names}
    write_json(folder / ABOUT, {"format": FORMAT, **about, "digests": digests})


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a header line; texts that look like formulas get an apostrophe in front."""
    with open(path, "w", newline="", encoding="utf-8", errors=ODD_NAMES) as file:
        plain = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in chain([columns], rows):
            cells = [inert(cell) for cell in row]
            # A carriage return ends a line for who reads, but the writer only quotes what ends its own.
            (quoting if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)


def read_about(path: Path) -> dict[str, Any]:
    """What a RUN says of itself, whatever that is; see `is_sound`.

    Raises:
        RunError: if there is none, or it cannot be read, or is from a newer headstart.
    """
    require_local(path, "a RUN")
    if not path.is_dir():
        raise RunError(f"no such RUN: {path}. Give the folder that `headstart train --out` has written.")
    try:
        about = read_json(path / ABOUT)
        version = int(about["format"])
    except FileNotFoundError:
        raise RunError(f"{path} is not a RUN: it has no {ABOUT}. Give the folder that --out has written.") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise damaged(path / ABOUT) from None
    if version > FORMAT:
        raise RunError(f"{path} was written by a newer headstart (format {version}, this one reads {FORMAT}). Upgrade.")
    return about


def read_json(path: Path) -> dict[str, Any]:
    """What is in a JSON file, which is an object.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    return content


def is_sound(about: Mapping[str, Any]) -> bool:
    """Whether what a RUN says of itself is all there and of the right kind."""
    if not about.keys() >= {"classes", "decode", "precision", "output", "head", "runtime", "digests"}:
        return False
    classes, decode, digests = about["classes"], about["decode"], about["digests"]
    return (
        isinstance(classes, list)
        and len(classes) > 1
        and all(isinstance(name, str) for name in classes)
        and len(set(classes)) == len(classes)
        and isinstance(decode, dict)
        and decode.keys() == {"height", "width", "fit"}
        and all(type(decode[side]) is int and 0 < decode[side] <= _LARGEST_SIDE for side in ("height", "width"))
        and decode["fit"] in get_args(Fit)
        and about["precision"] in get_args(Precision)
        and about["output"] in get_args(Output)
        and (about["output"] != "sigmoid" or len(classes) == 2)
        and isinstance(digests, dict)
        and MODEL in digests
    )


def first_line(error: Exception) -> str:
    """What a library complains of, in one sentence of bearable length."""
    return " ".join(str(error).split())[:200].rstrip(".") + "."


def damaged(path: Path) -> RunError:
    """The error for a file of a RUN that is not what was written."""
    return RunError(f"{path} is damaged or cannot be read. {AGAIN}")
