"""Where everything stands in the plot of accuracy over speed: numbers only, the page draws them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from headstart.comparing.comparison import Behind, Comparison, Row
from headstart.texts import printable

WIDTH, HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 20, 48

_FAR_BEHIND = 0.25
"""Who is farther behind the best than this would leave no room to tell the others apart; the caption names them."""

_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_LETTER, _LINE, _GAP = 7.2, 15, 14  # pixels: of an average letter, of a line, between a point and its name
_LONGEST = 40

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tick:
    """A line across the plot, with what stands beside it."""

    place: float
    text: str


@dataclass(frozen=True)
class Point:
    """One row of the leaderboard.

    Attributes:
        row: which.
        x: pixels from the left.
        y: pixels from the top, of its accuracy.
        top: of the upper end of the interval.
        bottom: of the lower end.
        label_x: where its name stands.
        label_y: where that stands from the top.
        anchor: which end of the name stands there, in the words of SVG.
    """

    row: Row
    x: float
    y: float
    top: float
    bottom: float
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Plot:
    """Accuracy over pictures a second.

    Attributes:
        points: those that are shown.
        not_shown: rows that are too far behind.
        across: ticks of the accuracy.
        along: ticks of the speed, on a logarithmic scale.
    """

    points: tuple[Point, ...]
    not_shown: tuple[Row, ...]
    across: tuple[Tick, ...]
    along: tuple[Tick, ...]
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def plot(comparison: Comparison) -> Plot:
    """Lay out the plot of a comparison."""
    best = comparison.rows[0].accuracy
    shown = [row for row in comparison.rows if row.accuracy >= best - _FAR_BEHIND]
    rest = tuple(row for row in comparison.rows if row not in shown)
    accuracy = _Accuracy.of(shown)
    speed = _Speed.of(shown)
    points = [
        Point(
            row,
            x=speed.place(row.pictures_per_second),
            y=accuracy.place(row.accuracy),
            top=accuracy.place(row.high),
            bottom=accuracy.place(row.low),
        )
        for row in shown
    ]
    return Plot(tuple(_labelled(points)), rest, tuple(accuracy.ticks()), tuple(speed.ticks()))


@dataclass(frozen=True)
class _Accuracy:
    low: float
    high: float
    step: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "_Accuracy":
        low, high = min(row.low for row in rows), max(row.high for row in rows)
        step = next((step for step in _STEPS if (high - low) / step <= 7), _STEPS[-1])
        return cls(math.floor(low / step) * step, min(1.0, math.ceil(high / step) * step), step)

    def place(self, accuracy: float) -> float:
        share = (accuracy - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)

    def ticks(self) -> Iterator[Tick]:
        for number in range(round((self.high - self.low) / self.step) + 1):
            value = min(self.low + number * self.step, self.high)
            yield Tick(self.place(value), f"{value:.3f}" if self.step < 0.01 else f"{value:.2f}")


@dataclass(frozen=True)
class _Speed:
    low: float
    high: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "_Speed":
        speeds = [row.pictures_per_second for row in rows]
        return cls(min(speeds) / 1.6, max(speeds) * 1.6)

    def place(self, speed: float) -> float:
        share = math.log(speed / self.low) / math.log(self.high / self.low)
        return _LEFT + share * (WIDTH - _RIGHT - _LEFT)

    def ticks(self) -> Iterator[Tick]:
        for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
            for digit in (1, 2, 5):
                if self.low <= (value := digit * 10.0**power) <= self.high:
                    yield Tick(self.place(value), f"{value:,g}")


@dataclass
class _Labels:
    """Names are put where they cover nothing, as far as there is such a place."""

    taken: list[_Box] = field(default_factory=list)

    def place(self, point: Point) -> Point:
        wide = _LETTER * len(label(point.row))
        tried: list[tuple[float, int, _Box, float, float, str]] = []
        for x, y, anchor in (
            (point.x + _GAP, point.y + 4, "start"),
            (point.x - _GAP, point.y + 4, "end"),
            *((point.x + _GAP, point.y + 4 + shift * _LINE, "start") for shift in (-1, 1, -2, 2)),
            *((point.x - _GAP, point.y + 4 + shift * _LINE, "end") for shift in (-1, 1, -2, 2)),
        ):
            begin = x if anchor == "start" else x - wide
            box = (begin, y - _LINE + 3, begin + wide, y + 3)
            tried.append((self._in_the_way(box), len(tried), box, x, y, anchor))
        _, _, box, x, y, anchor = min(tried)
        self.taken.append(box)
        return replace(point, label_x=x, label_y=y, anchor=anchor)

    def _in_the_way(self, box: _Box) -> float:
        left, top, right, bottom = box
        outside = max(0.0, _LEFT - left) + max(0.0, right - WIDTH) + max(0.0, _TOP - top)
        others = sum(left < b[2] and b[0] < right and top < b[3] and b[1] < bottom for b in self.taken)
        return 100 * others + outside


def _labelled(points: Sequence[Point]) -> list[Point]:
    labels = _Labels([(p.x - 6, p.y - 6, p.x + 6, p.y + 6) for p in points])
    return [labels.place(point) for point in points]


def label(row: Row | Behind) -> str:
    """A name of bearable length; a weights file may have any."""
    name = printable(row.name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]} ... {name[-_LONGEST // 2 :]}"
