"""What a report says of a RUN, as plain data: nothing is drawn here, and no picture is opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from headstart.bundle import Run
from headstart.errors import RunError
from headstart.evaluation.evaluate import Figures, figures
from headstart.images.pictures import Side
from headstart.recipe import Recipe
from headstart.records import recipe_of
from headstart.reporting.tables import Split, read_history, read_quarantine, read_split
from headstart.run_files import Judged
from headstart.texts import active

EXAMPLES = 6
"""Training pictures of each class that are shown."""

_SURE = 0.8
_UNLIKELY = 0.1


class Case(NamedTuple):
    """A picture that was judged.

    Attributes:
        name: as the tables call it.
        side: where it is.
        label: its class, by number.
        predicted: the most probable class, by number.
        probability: of that class.
        of_truth: probability of its own class.
    """

    name: str
    side: Side
    label: int
    predicted: int
    probability: float
    of_truth: float


class Pair(NamedTuple):
    """A class that is taken for another.

    Attributes:
        true: the class, by number.
        predicted: what it is taken for, by number.
        n: how many of its pictures are.
        of: how many pictures it has.
    """

    true: int
    predicted: int
    n: int
    of: int


class Panel:
    """What a RUN says of the pictures of one side.

    Attributes:
        side: which.
        judged: the table.
        figures: what follows from it.
        confusion: integer `(classes, classes)`, pictures by true and predicted class, of all classes.
    """

    def __init__(self, side: Side, judged: Judged, classes: Sequence[str]):
        self.side, self.judged = side, judged
        self.figures: Figures = figures(judged.probabilities, judged.labels, classes)
        self._predicted = judged.probabilities.argmax(axis=1)
        self._confidence = judged.probabilities.max(axis=1)
        self.confusion = np.zeros((len(classes), len(classes)), int)
        np.add.at(self.confusion, (judged.labels, self._predicted), 1)

    @property
    def right(self) -> int:
        """How many pictures it has right."""
        return int(np.trace(self.confusion))

    @property
    def largest_share(self) -> tuple[int, float]:
        """The class with most pictures, by number, and its share of them: what always naming it would get right."""
        counts = self.confusion.sum(axis=1)
        most = int(counts.argmax())
        return most, float(counts[most] / counts.sum())

    @cached_property
    def mean_confidence(self) -> float:
        """The mean probability of what it says."""
        return float(self._confidence.mean())

    @cached_property
    def mistakes(self) -> list[Case]:
        """What it has wrong, the most confident first."""
        return self._cases(self._by_confidence(self._predicted != self.judged.labels))

    @cached_property
    def most_certain(self) -> list[Case]:
        """What it has right, the most confident first."""
        return self._cases(self._by_confidence(self._predicted == self.judged.labels))

    @cached_property
    def least_certain(self) -> list[Case]:
        """Right or wrong, the least confident first."""
        return self._cases(self._by_confidence(np.ones(len(self._predicted), bool))[::-1])

    @cached_property
    def pairs(self) -> list[Pair]:
        """Which classes are taken for which others, the most frequent first."""
        counts = self.confusion.copy()
        np.fill_diagonal(counts, 0)
        true, predicted = np.nonzero(counts)
        order = np.argsort(-counts[true, predicted], kind="stable")
        totals = self.confusion.sum(axis=1)
        return [
            Pair(int(t), int(p), int(counts[t, p]), int(totals[t]))
            for t, p in zip(true[order], predicted[order], strict=True)
        ]

    def most_confused(self, most: int) -> list[int]:
        """Of many classes those with most mistakes in their row or column, in the order of the classes."""
        wrong = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - 2 * np.diag(self.confusion)
        return sorted(np.argsort(-wrong, kind="stable")[:most].tolist())

    def of_cell(self, true: int, predicted: int) -> list[Case]:
        """The pictures of one class that are taken for one, the most confident first."""
        return self._cells.get((true, predicted), [])

    @cached_property
    def _cells(self) -> dict[tuple[int, int], list[Case]]:
        found: dict[tuple[int, int], list[Case]] = {}
        for case in (*self.mistakes, *self.most_certain):
            found.setdefault((case.label, case.predicted), []).append(case)
        return found

    def suspects(self) -> list[Case]:
        """Pictures whose labels may be wrong, the likeliest first.

        Another class is at least as probable as it is on average for pictures that are of it (confident learning:
        Northcutt, Jiang and Chuang, JAIR 2021, arXiv 1911.00068), and `_SURE`, while its own is hardly probable.
        """
        labels, probabilities = self.judged.labels, self.judged.probabilities
        usual = np.ones(probabilities.shape[1])
        for number in np.unique(labels):
            usual[number] = probabilities[labels == number, number].mean()
        of_truth = probabilities[np.arange(len(labels)), labels]
        sure = self._confidence >= np.maximum(usual[self._predicted], _SURE)
        found = np.flatnonzero(sure & (of_truth <= _UNLIKELY) & (self._predicted != labels))
        return self._cases(found[np.argsort((of_truth - self._confidence)[found], kind="stable")])

    def _by_confidence(self, chosen: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-self._confidence[rows], kind="stable")]

    def _cases(self, rows: Iterable[int]) -> list[Case]:
        judged = self.judged
        return [
            Case(
                active(judged.names[row]),
                self.side,
                int(judged.labels[row]),
                int(self._predicted[row]),
                float(self._confidence[row]),
                float(judged.probabilities[row, judged.labels[row]]),
            )
            for row in map(int, rows)
        ]


@dataclass(frozen=True)
class Gathered:
    """Everything that a report is made of.

    Attributes:
        run: the RUN.
        recipe: how it was trained.
        metrics: what was reported when it was trained.
        panels: what it says of validation and test pictures.
        split: who was where.
        history: how training went, by stage.
        quarantined: the files that were left out, and why.
    """

    run: Run
    recipe: Recipe
    metrics: dict[str, Any]
    panels: dict[Side, Panel]
    split: Split
    history: dict[str, list[dict[str, float]]]
    quarantined: list[tuple[str, str]]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.run.classes

    @property
    def val(self) -> Panel:
        """The validation pictures: those whose mistakes may be looked at."""
        return self.panels["val"]

    @property
    def cleanest(self) -> Panel:
        """The pictures on which least was chosen: for testing where there are such, else for validation."""
        return self.panels.get("test", self.val)

    @cached_property
    def suspects(self) -> list[Case]:
        """Pictures for validation and testing whose labels may be wrong, the likeliest first."""
        found = [case for panel in self.panels.values() for case in panel.suspects()]
        return sorted(found, key=lambda case: case.of_truth - case.probability)

    @cached_property
    def learned(self) -> dict[str, int]:
        """How many training pictures each class has."""
        return {name: sides.get("train", 0) for name, sides in self.split.counts.items()}


def gather(run: Run) -> Gathered:
    """Read the files of a RUN.

    Raises:
        RunError: if one is missing or damaged, or there are no validation pictures.
    """
    sides: tuple[Side, ...] = ("val", "test")
    judged = {side: run.judged(side) for side in sides}
    if not len(judged["val"].labels):
        raise RunError(f"{run.path / 'predictions.csv'} has no validation pictures, so there is nothing to report.")
    return Gathered(
        run,
        recipe_of(run),
        run.metrics,
        {side: Panel(side, found, run.classes) for side, found in judged.items() if len(found.labels)},
        read_split(run, EXAMPLES),
        read_history(run),
        read_quarantine(run),
    )
