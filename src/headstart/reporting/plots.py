"""Plots as data: where lines and bars lie on a canvas, and the same as a table. The page's template draws them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from headstart.evaluation.calibration import Bin, reliability
from headstart.evaluation.ranking import precision_recall_curve, roc_curve
from headstart.evaluation.selective import coverage_curve
from headstart.reporting.gathered import Panel
from headstart.texts import short

WIDTH, HEIGHT = 380, 250
"""Columns and rows of a plot's canvas."""

LEFT, RIGHT, TOP, BOTTOM = 54, 372, 10, 206
"""Where the axes are on it."""

_MOST_POINTS = 200  # of a curve; more cannot be seen
_MOST_ROWS = 25  # of its table
_DOTS = 30
_TICKS = 5

Range = tuple[float, float]
Point = TypeVar("Point")
_SHARE: Range = (0.0, 1.0)


class Tick(NamedTuple):
    """A mark on an axis: where on the canvas, and what stands there."""

    at: float
    text: str


class Line(NamedTuple):
    """A line.

    Attributes:
        name: what it shows; empty for a line that guides the eye.
        kind: `one`, `two` or `guide`, which the page gives looks.
        points: as SVG writes them.
        dots: the same one by one, where there are so few that each can be seen.
    """

    name: str
    kind: str
    points: str
    dots: tuple[tuple[float, float], ...] = ()


class Bar(NamedTuple):
    """A bar on the canvas."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Plot:
    """What there is to draw.

    Attributes:
        key: a word that no other plot has.
        title: its name.
        text: what it shows, in a sentence, for those who do not see it, too.
        x_title: what goes to the right.
        y_title: what goes up.
        x_ticks: marks of the axis below.
        y_ticks: marks of the axis on the left.
        lines: drawn over the bars.
        bars: drawn first.
        columns: of the table that says the same.
        rows: of it.
    """

    key: str
    title: str
    text: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class _Canvas:
    """Knows where values lie."""

    def __init__(self, x: Range, y: Range):
        self._x, self._y = _widened(x), _widened(y)

    def x(self, value: float) -> float:
        low, high = self._x
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        low, high = self._y
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    def line(self, name: str, kind: str, points: Iterable[tuple[float, float]]) -> Line:
        good = [(self.x(x), self.y(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        dots = tuple(good) if name and len(good) <= _DOTS else ()
        return Line(name, kind, " ".join(f"{x:g},{y:g}" for x, y in good), dots)

    def x_ticks(self, whole: bool = False) -> tuple[Tick, ...]:
        return tuple(Tick(self.x(value), text) for value, text in _ticks(*self._x, whole))

    def y_ticks(self) -> tuple[Tick, ...]:
        return tuple(Tick(self.y(value), text) for value, text in _ticks(*self._y))


def curves(stage: str, rows: Sequence[Mapping[str, float]]) -> Iterator[Plot]:
    """How a stage that was fitted went: loss and accuracy by epoch.

    Args:
        stage: its name.
        rows: one for each epoch, as `history.csv` has them.
    """
    known = [row for row in rows if "epoch" in row]
    for figure in ("loss", "accuracy"):
        names = {figure: ("training", "two"), f"val_{figure}": ("validation", "one")}
        if not any(name in row for row in known for name in names):
            continue
        values = [row[name] for row in known for name in names if math.isfinite(row.get(name, math.nan))]
        epochs = [row["epoch"] for row in known]
        canvas = _Canvas((min(epochs), max(epochs)), (min(values, default=0), max(values, default=1)))
        lines = tuple(
            canvas.line(shown, kind, ((row["epoch"], row[name]) for row in known if name in row))
            for name, (shown, kind) in names.items()
        )
        table = tuple(
            (f"{row['epoch']:g}", *(_number(row[name]) if name in row else "-" for name in names)) for row in known
        )
        yield Plot(
            f"{stage}-{figure}",
            f"{figure.capitalize()} by epoch",
            f"{figure.capitalize()} on training and validation pictures after each epoch.",
            *("epoch", figure, canvas.x_ticks(whole=True), canvas.y_ticks(), lines, ()),
            ("epoch", "training", "validation"),
            table,
        )


def reliability_plot(panel: Panel) -> Plot:
    """How often it is right against how sure it is, in bins of confidence."""
    bins = [one for one in reliability(panel.judged.probabilities, panel.judged.labels) if one.n]
    canvas = _Canvas(_SHARE, _SHARE)
    bars = tuple(Bar(canvas.x(one.low), canvas.y(one.accuracy or 0), *_size(canvas, one)) for one in bins)
    points = ((one.confidence or 0.0, one.accuracy or 0.0) for one in bins)
    return Plot(
        "reliability",
        "Confidence and accuracy",
        "Of pictures about which it is about as confident, the share that it has right. On the dashed line both agree; "
        "below it, it is surer than it should be.",
        *("confidence", "share right", canvas.x_ticks(), canvas.y_ticks()),
        (canvas.line("", "guide", ((0, 0), (1, 1))), canvas.line("share right", "one", points)),
        bars,
        ("confidence", "pictures", "mean confidence", "share right"),
        tuple(
            (f"{one.low:.2f} to {one.high:.2f}", f"{one.n:,}", _number(one.confidence), _number(one.accuracy))
            for one in bins
        ),
    )


def coverage_plot(panel: Panel) -> Plot:
    """How often it is right if it answers only when sure, by how many pictures it then answers."""
    found = coverage_curve(panel.judged.probabilities, panel.judged.labels)
    lowest = min(one.precision for one in found)
    canvas = _Canvas(_SHARE, (math.floor(lowest * 10) / 10 if lowest < 1 else 0.9, 1.0))
    kept = _thinned(found, _MOST_POINTS)
    return Plot(
        "coverage",
        "Answering only when sure",
        "The share of its answers that are right if it is silent below a confidence, over the share of pictures that "
        "are then answered.",
        *("share answered", "share right", canvas.x_ticks(), canvas.y_ticks()),
        (canvas.line("share right", "one", ((one.coverage, one.precision) for one in kept)),),
        (),
        ("confidence from", "answered", "share answered", "share right"),
        tuple(
            (_number(one.threshold), f"{one.answered:,}", _number(one.coverage), _number(one.precision))
            for one in _thinned(found, _MOST_ROWS)
        ),
    )


def ranking_plots(panel: Panel, classes: Sequence[str]) -> Iterator[Plot]:
    """For two classes, both of which have pictures: the ROC curve, and precision over recall, of the second one."""
    positive = panel.judged.labels == 1
    if len(classes) != 2 or positive.all() or not positive.any():
        return
    scores, name = panel.judged.probabilities[:, 1], short(classes[1])
    canvas = _Canvas(_SHARE, _SHARE)
    axes = (canvas.x_ticks(), canvas.y_ticks())
    false_rate, true_rate = roc_curve(scores, positive)
    points = _thinned(list(zip(false_rate.tolist(), true_rate.tolist(), strict=True)), _MOST_POINTS)
    yield Plot(
        "roc",
        f"ROC curve of “{name}”",
        f"The share of “{name}” that is found, over the share of other pictures that is taken for it, for every "
        "threshold. The dashed line is guessing.",
        *("share of others taken for it", "share found", *axes),
        (canvas.line("", "guide", ((0, 0), (1, 1))), canvas.line("share found", "one", points)),
        (),
        ("share of others taken for it", "share found"),
        _table(points),
    )
    recall, precision = precision_recall_curve(scores, positive)
    points = _thinned(list(zip(recall.tolist(), precision.tolist(), strict=True)), _MOST_POINTS)
    share = float(np.mean(positive))
    yield Plot(
        "precision-recall",
        f"Precision and recall of “{name}”",
        f"The share of pictures taken for “{name}” that are it, over the share of it that is found, for every "
        "threshold. The dashed line is guessing.",
        *("recall", "precision", *axes),
        (canvas.line("", "guide", ((0, share), (1, share))), canvas.line("precision", "one", points)),
        (),
        ("recall", "precision"),
        _table(points),
    )


def _table(points: Sequence[tuple[float, float]]) -> tuple[tuple[str, ...], ...]:
    return tuple((_number(x), _number(y)) for x, y in _thinned(points, _MOST_ROWS))


def _size(canvas: _Canvas, one: Bin) -> tuple[float, float]:
    """Width and height of the bar of a bin."""
    return round(canvas.x(one.high) - canvas.x(one.low), 1), round(canvas.y(0) - canvas.y(one.accuracy or 0), 1)


def _thinned(points: Sequence[Point], most: int) -> list[Point]:
    """So many of the points, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[int(place)] for place in np.linspace(0, len(points) - 1, most).round()]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _widened(span: Range) -> Range:
    low, high = span
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, whole: bool = False) -> Iterator[tuple[float, str]]:
    """Round values between two, about `_TICKS` of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    for number in range(first, math.floor(high / step + 1e-9) + 1):
        yield number * step, f"{number * step:.4g}"
