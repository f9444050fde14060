"""The sheets that explanations are drawn on: one picture in detail, or many in a grid."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from headstart.explaining.canvas import INK, LINE, SOFT, WARM, Canvas, in_short
from headstart.explaining.draw import coloured
from headstart.explaining.explain import TITLES, Explanation

MOST_ON_A_SHEET = 60
"""Pictures on one contact sheet."""

_GAP = 16
_SIDE = 256
_SMALL = 160
_COLUMNS = 4
_LINE = 20
_BAR = 14
_SCALE = 96


def in_detail(explanation: Explanation, top: int = 5) -> Canvas:
    """One picture, the heat map over it, and the most probable classes.

    Args:
        explanation: of the picture.
        top: how many classes are named; the one that was asked about always is.
    """
    named = _named(explanation, top)
    height = max(_SIDE, len(named) * (_LINE + _BAR + 10) + 8)
    canvas = Canvas(3 * _SIDE + 4 * _GAP, height + 2 * _GAP + 3 * _LINE)
    first, second, third = (_GAP + number * (_SIDE + _GAP) for number in range(3))
    canvas.text(in_short(explanation.path), first, 10, 2 * _SIDE + _GAP, 15)
    canvas.picture(explanation.pixels, first, _GAP + _LINE, _SIDE)
    canvas.picture(explanation.overlay, second, _GAP + _LINE, _SIDE)
    _bars(canvas, explanation, named, third, _GAP + _LINE)
    below = _GAP + _LINE + _SIDE + 8
    canvas.text("what the network sees", first, below, _SIDE, 13, SOFT)
    canvas.text(_asked(explanation), second, below, 2 * _SIDE + _GAP, 13, SOFT)
    canvas.text(_in_words(explanation), second, below + _LINE, 2 * _SIDE + _GAP, 13, SOFT)
    _scale(canvas, first, below + _LINE + 2)
    return canvas


def in_grid(explanations: Sequence[Explanation]) -> Canvas:
    """Several pictures, each beside its heat map, with the class and its probability."""
    columns = min(_COLUMNS, len(explanations))
    rows = -(-len(explanations) // columns)
    cell_width, cell_height = 2 * _SMALL + _GAP, _SMALL + 2 * _LINE + 10
    canvas = Canvas(columns * cell_width + _GAP, rows * cell_height + _GAP + _LINE + 8)
    for number, explanation in enumerate(explanations):
        left, top = _GAP + number % columns * cell_width, _GAP + number // columns * cell_height
        canvas.picture(explanation.pixels, left, top, _SMALL)
        canvas.picture(explanation.overlay, left + _SMALL, top, _SMALL)
        canvas.text(f"{explanation.label} {explanation.probability:.3f}", left, top + _SMALL + 4, 2 * _SMALL, 14)
        canvas.text(in_short(explanation.path), left, top + _SMALL + 4 + _LINE, 2 * _SMALL, 12, SOFT)
    bottom = rows * cell_height + _GAP
    _scale(canvas, _GAP, bottom)
    left = _GAP + _SCALE + 120
    canvas.text(f"{TITLES[explanations[0].method]}, {explanations[0].layer}", left, bottom, 320, 13, SOFT)
    return canvas


def _named(explanation: Explanation, top: int) -> list[tuple[str, float]]:
    named = list(islice(explanation.probabilities.items(), top))
    if explanation.label not in dict(named):
        named.append((explanation.label, explanation.probability))
    return named


def _bars(canvas: Canvas, explanation: Explanation, named: Sequence[tuple[str, float]], left: int, top: int) -> None:
    for name, probability in named:
        is_asked = name == explanation.label
        canvas.text(name, left, top, _SIDE - 80, 14, INK if is_asked else SOFT)
        canvas.text(f"{probability:.4f}", left + _SIDE - 80, top, 80, 14, INK if is_asked else SOFT, right=True)
        canvas.box(left, top + _LINE, _SIDE, _BAR, LINE)
        canvas.box(left, top + _LINE, round(_SIDE * probability), _BAR, WARM if is_asked else SOFT)
        top += _LINE + _BAR + 10


def _scale(canvas: Canvas, left: int, top: int) -> None:
    """What the colours mean."""
    canvas.picture(coloured(np.linspace(0, 1, _SCALE)[None].repeat(12, 0)), left, top - _SCALE // 2 + 8, _SCALE)
    canvas.text("nothing to most", left + _SCALE + 8, top, 160, 13, SOFT)


def _asked(explanation: Explanation) -> str:
    about = "" if explanation.method == "eigen-cam" else f" for {explanation.label}"
    return f"{TITLES[explanation.method]}{about}, {explanation.layer}"


def _in_words(explanation: Explanation) -> str:
    if not explanation.heat.any():
        return f"nothing here speaks for {explanation.label}"
    return f"half of the heat on {explanation.area_of_half:.0%} of the picture"
