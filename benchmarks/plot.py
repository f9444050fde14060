"""A picture of points with the line through them, as SVG: no library for a handful of marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 460, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 64, 52
_INK, _GRID, _PAPER = "#222222", "#dddddd", "#ffffff"
_COLOURS = ("#0b5fa5", "#b5541c", "#2f7d32")


@dataclass(frozen=True)
class Series:
    """Points of one kind, and a straight line if there is one.

    Attributes:
        name: for the legend.
        points: pairs of x and y.
        line: slope and intercept.
    """

    name: str
    points: Sequence[tuple[float, float]]
    line: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes, both from zero, with the names of both, units included."""

    title: str
    across: str
    up: str
    series: Sequence[Series]


def drawn(panels: Sequence[Panel]) -> str:
    """The panels side by side, as the text of an SVG file."""
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="{_INK}">'
    parts = [head, f'<rect {size} fill="{_PAPER}"/>']
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH} 0)">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def ticks(most: float) -> list[float]:
    """Round numbers from zero to the first that is not below `most`; four to nine of them."""
    rough = most / 5 if most > 0 else 1.0
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _panel(panel: Panel) -> list[str]:
    xs = [x for series in panel.series for x, _ in series.points]
    ys = [y for series in panel.series for _, y in series.points]
    across, up = ticks(max(xs)), ticks(max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + x / across[-1] * (WIDTH - _LEFT - _RIGHT)
        return right, HEIGHT - _BOTTOM - y / up[-1] * (HEIGHT - _TOP - _BOTTOM)

    parts = [_text(WIDTH / 2, 20, panel.title, "middle", 'font-weight="bold"')]
    for y in up:
        (left, height), (right, _) = place(0, y), place(across[-1], y)
        parts += [_stroke(left, height, right, height, _GRID), _text(left - 6, height + 4, f"{y:,g}", "end")]
    for x in across:
        left, height = place(x, 0)
        parts += [_stroke(left, height, left, height + 4, _INK), _text(left, height + 18, f"{x:,g}", "middle")]
    parts.append(_stroke(*place(0, 0), *place(across[-1], 0), _INK))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 10, panel.across, "middle"))
    middle = (HEIGHT + _TOP - _BOTTOM) / 2
    parts.append(_text(16, middle, panel.up, "middle", f'transform="rotate(-90 16 {middle})"'))
    for number, series in enumerate(panel.series):
        colour, legend = _COLOURS[number], 38 + 16 * number
        parts += [_dot(_LEFT + 8, legend - 4, colour), _text(_LEFT + 18, legend, series.name, "start")]
        if series.line is not None:
            slope, intercept = series.line
            end = max(x for x, _ in series.points)
            parts.append(_stroke(*place(0, max(0.0, intercept)), *place(end, slope * end + intercept), colour))
        parts += [_dot(*place(x, y), colour) for x, y in series.points]
    return parts


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
