"""The tables of a RUN that say where its pictures were and how training went."""

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

from headstart.bundle import Run
from headstart.images.pictures import SIDE_NAMES, Side
from headstart.records import read_table
from headstart.run_files import HISTORY, QUARANTINE, SPLITS, damaged

Rows = list[dict[str, str]]


class Member(NamedTuple):
    """A picture of the split.

    Attributes:
        name: as the tables call it.
        side: where it is.
        label: its class.
    """

    name: str
    side: Side
    label: str


@dataclass(frozen=True)
class Split:
    """What `splits.csv` says.

    Attributes:
        counts: pictures on each side, by class.
        examples: some training pictures of each class, the same ones each time.
        shared: pictures of the same content that are on the training side and on another, together.
        by_folders: whether the pictures for validation seem to have been given, in a folder with the name of that side.
    """

    counts: dict[str, dict[Side, int]] = field(default_factory=dict)
    examples: dict[str, list[Member]] = field(default_factory=dict)
    shared: list[list[Member]] = field(default_factory=list)
    by_folders: bool = False


def read_split(run: Run, examples: int) -> Split:
    """Read `splits.csv`.

    Args:
        run: the RUN.
        examples: pictures of each class.

    Raises:
        RunError: if it is damaged.
    """
    counts: dict[str, dict[Side, int]] = {name: {} for name in run.classes}
    sampled: dict[str, list[tuple[str, Member]]] = {name: [] for name in run.classes}
    # Digests are as good as random, so the smallest of them are a fair sample, and which does not depend on names.
    held_out = {row["digest"] for row in read_table(run, SPLITS) if row["side"] != "train"}
    alike: dict[str, list[Member]] = {}
    by_folders = False
    try:
        for row in read_table(run, SPLITS):
            member = Member(row["path"], SIDE_NAMES[row["side"]], row["label"])
            counts[member.label][member.side] = counts[member.label].get(member.side, 0) + 1
            if member.side == "train":
                sampled[member.label].append((row["digest"], member))
                sampled[member.label] = heapq.nsmallest(examples, sampled[member.label])
            by_folders |= member.side == "val" and member.name.partition("/")[0].lower() in SIDE_NAMES
            if row["digest"] in held_out:
                alike.setdefault(row["digest"], []).append(member)
    except KeyError:
        raise damaged(run.path / SPLITS) from None
    shared = [members for members in alike.values() if any(member.side == "train" for member in members)]
    examples_of = {name: [member for _, member in found] for name, found in sampled.items()}
    return Split(counts, examples_of, shared, by_folders)


def read_history(run: Run) -> dict[str, list[dict[str, float]]]:
    """The rows of `history.csv` by stage, in their order; what a stage has no value for is left out.

    Raises:
        RunError: if it is damaged.
    """
    found: dict[str, list[dict[str, float]]] = {}
    try:
        for row in read_table(run, HISTORY):
            values = {name: float(value) for name, value in row.items() if name != "stage" and value}
            found.setdefault(row["stage"], []).append(values)
    except (KeyError, ValueError):
        raise damaged(run.path / HISTORY) from None
    return found


def read_quarantine(run: Run) -> list[tuple[str, str]]:
    """The files that were left out, and why.

    Raises:
        RunError: if that table is damaged.
    """
    try:
        return [(row["path"], row["reason"]) for row in read_table(run, QUARANTINE)]
    except KeyError:
        raise damaged(run.path / QUARANTINE) from None
