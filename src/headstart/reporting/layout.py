"""What goes where on the page, and how much of it: the confusion matrix with its cells, the tables, what is shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headstart.images.pictures import Side
from headstart.reporting.gathered import Case, Gathered, Pair, Panel
from headstart.reporting.pictures import Place, places_of
from headstart.reporting.tables import Member

MATRIX = 25
"""Classes in the confusion matrix."""

MISTAKES = 24
"""Mistakes in the gallery, and pictures with a heat map, at most."""

STRIP = 10
"""Pictures of each other kind."""

_PAIRS = 15
_CLASS_ROWS = 100
_EXAMPLE_CLASSES = 25
_SHADES = 5
_IN_HIT_CELL = 12  # thumbnails of what is right; of mistakes there are all, as long as there is room
_LEAST_IN_CELL = 6


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix.

    Attributes:
        true: the class of its pictures, by number.
        predicted: what they are taken for.
        n: how many there are.
        part: how dark it is, 1 to 5; 0 for nothing.
        key: what the page calls its dialog; empty where there is none.
        cases: its pictures, as many of them as are listed.
    """

    true: int
    predicted: int
    n: int
    part: int = 0
    key: str = ""
    cases: list[Case] = field(default_factory=list)


class Row(NamedTuple):
    """A row of the confusion matrix."""

    number: int
    cells: list[Cell]


class Matrix(NamedTuple):
    """The confusion matrix, or the worst of it.

    Attributes:
        numbers: the classes that are shown.
        rows: one for each.
        whole: whether these are all classes.
    """

    numbers: list[int]
    rows: list[Row]
    whole: bool


class PairShown(NamedTuple):
    """A frequent confusion, with the cell that opens its pictures."""

    true: int
    predicted: int
    n: int
    of: int
    cell: Cell


class Counted(NamedTuple):
    """A row of the table of classes."""

    number: int
    counts: Mapping[Side, int]
    figures: Mapping[Side, Mapping[str, Any] | None]


class FigureRow(NamedTuple):
    """A row of the table of figures; without digits they are whole numbers."""

    key: str
    title: str
    text: str
    digits: int
    values: Mapping[Side, float | int | None]


@dataclass
class Cells:
    """The cells that can be opened, each once, and how many pictures they may list.

    Args:
        panel: the pictures.
        names: how many pictures may be listed in all cells together.
    """

    panel: Panel
    names: int
    opened: dict[tuple[int, int], Cell] = field(default_factory=dict)

    def open(self, true: int, predicted: int, part: int = 1) -> Cell:
        """The cell of two classes."""
        if (true, predicted) not in self.opened:
            cases = self.panel.of_cell(true, predicted)
            shown = cases[: max(0, self.names)]
            self.names -= len(shown)
            cell = Cell(true, predicted, len(cases), part, f"cell-{true}-{predicted}", shown)
            self.opened[true, predicted] = cell
        return self.opened[true, predicted]

    def places(self) -> Iterator[Place]:
        """The pictures to embed: mistakes first."""
        cells = sorted(self.opened.values(), key=lambda cell: cell.true == cell.predicted)
        for cell in cells:
            yield from places_of(cell.cases[: _IN_HIT_CELL if cell.true == cell.predicted else None])


def matrix_of(panel: Panel, cells: Cells | None) -> Matrix:
    """The confusion matrix of the classes that are confused most.

    Args:
        panel: the pictures.
        cells: where its cells are opened; None for a matrix that shows numbers alone.
    """
    numbers = panel.most_confused(MATRIX)
    of_class = panel.confusion.sum(axis=1)
    # Mistakes first: when there are more pictures than can be listed, these are what somebody wants to see.
    places = sorted(((t, p) for t in numbers for p in numbers), key=lambda place: place[0] == place[1])
    found: dict[tuple[int, int], Cell] = {}
    for true, predicted in places:
        n = int(panel.confusion[true, predicted])
        part = max(1, min(_SHADES, round(_SHADES * n / of_class[true]))) if n else 0
        closed = Cell(true, predicted, n, part)
        found[true, predicted] = closed if cells is None or not n else cells.open(true, predicted, part)
    rows = [Row(true, [found[true, predicted] for predicted in numbers]) for true in numbers]
    return Matrix(numbers, rows, len(numbers) == len(panel.confusion))


def pairs_of(panel: Panel, cells: Cells) -> list[PairShown]:
    """The most frequent confusions."""
    shown: list[Pair] = panel.pairs[:_PAIRS]
    return [PairShown(*pair, cell=cells.open(pair.true, pair.predicted)) for pair in shown]


def class_rows(found: Gathered) -> list[Counted]:
    """Each class with its figures; of many those that are found least."""
    numbers = list(range(len(found.classes)))
    if len(numbers) > _CLASS_ROWS:
        of_class = found.val.figures.per_class
        recall = {number: _recall(of_class.get(name)) for number, name in enumerate(found.classes)}
        numbers = sorted(sorted(numbers, key=lambda number: recall[number])[:_CLASS_ROWS])
    rows = []
    for number in numbers:
        name = found.classes[number]
        of_sides = {side: panel.figures.per_class.get(name) for side, panel in found.panels.items()}
        figures = {side: None if one is None else vars(one) for side, one in of_sides.items()}
        rows.append(Counted(number, found.split.counts[name], figures))
    return rows


def _recall(figures: Any) -> float:
    return 2.0 if figures is None or figures.recall is None else float(figures.recall)


def examples_of(found: Gathered) -> dict[int, list[Member]]:
    """Training pictures of classes by number: of many classes those that are confused most."""
    numbers = found.val.most_confused(_EXAMPLE_CLASSES)
    members = {number: found.split.examples[found.classes[number]] for number in numbers}
    return {number: some for number, some in members.items() if some}


_TEXTS = {
    "n": ("pictures", "how many there are", 0),
    "accuracy": ("accuracy", "share of pictures whose most probable class is the true one", 4),
    "accuracy_low": ("accuracy, at least", "lower end of its 95 % interval (Wilson)", 4),
    "accuracy_high": ("accuracy, at most", "upper end", 4),
    "loss": ("loss", "mean cross-entropy in nats; 0 is best", 4),
    "macro.precision": ("mean precision", "of what is taken for a class, the share that is it; mean over classes", 4),
    "macro.recall": ("balanced accuracy", "of the pictures of a class, the share that is found; mean over classes", 4),
    "macro.f1": ("mean F1", "harmonic mean of both; mean over classes", 4),
    "auc": ("AUC", "area under the ROC curve; mean of one class against the others where there are more than two", 4),
    "average_precision": ("average precision", "area under precision over recall, likewise", 4),
    "calibration_error": (
        "calibration error",
        "how far confidence and accuracy are apart (ECE, 15 bins)",
        4,
    ),
}


def figure_rows(found: Gathered) -> list[FigureRow]:
    """Every figure of each side."""
    rows = [
        FigureRow(key, title, text, digits, {side: _value(panel, key) for side, panel in found.panels.items()})
        for key, (title, text, digits) in _TEXTS.items()
    ]
    for k in found.val.figures.top_k:
        values = {side: panel.figures.top_k.get(k) for side, panel in found.panels.items()}
        text = f"share of pictures whose true class is among the {k} most probable ones"
        rows.append(FigureRow(f"top_k.{k}", f"top-{k} accuracy", text, 4, values))
    return rows


def _value(panel: Panel, key: str) -> float | int | None:
    name, _, part = key.partition(".")
    found = getattr(panel.figures, name)
    return found[part] if part else found  # type: ignore[no-any-return]
