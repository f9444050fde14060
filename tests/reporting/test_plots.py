"""Where lines lie: within the canvas, as the values say, and as a table."""

import math

import numpy as np
import pytest

from headstart.reporting import plots
from headstart.reporting.gathered import gather
from tests.reporting.conftest import drawn


def points(line: plots.Line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.points.split())]


def check_on_canvas(plot: plots.Plot) -> None:
    for line in plot.lines:
        for x, y in points(line):
            assert plots.LEFT - 0.1 <= x <= plots.RIGHT + 0.1
            assert plots.TOP - 0.1 <= y <= plots.BOTTOM + 0.1
    for bar in plot.bars:
        assert bar.y + bar.height == pytest.approx(plots.BOTTOM)
        assert bar.width > 0
        assert bar.height >= 0
    assert 2 <= len(plot.x_ticks) <= 12
    assert 2 <= len(plot.y_ticks) <= 12
    assert all(len(row) == len(plot.columns) for row in plot.rows)


@pytest.fixture
def panel(make):
    made = make("a", "b")
    for number in range(90):
        label = number % 2
        made.row(f"{number}.png", "val", "ab"[label], str(number), drawn(number, 2, label))
    made.row("t.png", "train", "a", "t")
    return gather(made.write()).val


def test_plots_of_predictions_lie_on_the_canvas(panel):
    found = [plots.reliability_plot(panel), plots.coverage_plot(panel), *plots.ranking_plots(panel, ("a", "b"))]
    assert [plot.key for plot in found] == ["reliability", "coverage", "roc", "precision-recall"]
    for plot in found:
        check_on_canvas(plot)


def test_at_full_coverage_it_is_as_often_right_as_its_accuracy(panel):
    plot = plots.coverage_plot(panel)
    assert plot.rows[-1][1:] == ("90", "1.0000", f"{panel.figures.accuracy:.4f}")
    assert points(plot.lines[0])[-1][0] == plots.RIGHT


def test_a_roc_curve_goes_from_corner_to_corner(panel):
    roc = next(plots.ranking_plots(panel, ("a", "b")))
    curve = points(roc.lines[1])
    assert curve[0] == (plots.LEFT, plots.BOTTOM)
    assert curve[-1] == (plots.RIGHT, plots.TOP)


def test_there_is_no_ranking_of_three_classes_or_of_one(panel):
    assert list(plots.ranking_plots(panel, ("a", "b", "c"))) == []


@pytest.mark.parametrize("epochs", [1, 2, 40, 900])
def test_curves_of_any_length_lie_on_the_canvas(epochs):
    rows = [
        {"epoch": n, "loss": 1 / n, "val_loss": 2 / n, "accuracy": 0.5, "val_accuracy": 0.5}
        for n in range(1, epochs + 1)
    ]
    for plot in plots.curves("finetune", rows):
        check_on_canvas(plot) if epochs > 1 else None
        assert [len(points(line)) for line in plot.lines] == [epochs, epochs]
        assert len(plot.rows) == epochs


def test_a_loss_that_is_no_number_is_left_out_of_the_line_and_stays_in_the_table():
    rows = [
        {"epoch": n, "loss": loss, "val_loss": 1.0} for n, loss in enumerate((1.0, math.nan, math.inf, 0.5), start=1)
    ]
    (plot,) = plots.curves("finetune", rows)
    assert len(points(plot.lines[0])) == 2
    assert [row[1] for row in plot.rows] == ["1.0000", "nan", "inf", "0.5000"]


def test_ticks_are_round_and_within():
    for low, high in np.random.default_rng(0).uniform(-10, 10, (50, 2)):
        low, high = min(low, high), max(low, high) + 1e-3
        found = list(plots._ticks(low, high))
        assert 2 <= len(found) <= 12
        assert all(low - 1e-6 <= value <= high + 1e-6 for value, _ in found)
