"""Both ways to solve least squares give its solution, without any fold, in one piece or in many."""

import numpy as np
import pytest

from headstart.training.ridge import Dual, Normal, Primal, Sums

CLASSES = 3


def problem(count: int, width: int, seed: int = 0):
    """Columns that are not quite centred, labels of which the last is rare, folds of which one is never held out."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 7 % CLASSES
    columns = random.normal(size=(count, width)) + labels[:, None] * 0.3 + random.normal(size=width) * 0.1
    return columns.astype(np.float32), labels, np.arange(count) % 6 - 1


def exactly(columns: np.ndarray, labels: np.ndarray, penalty: float):
    """Kernel and bias in 64 bits, with the bias as a column that is not penalised."""
    with_bias = np.column_stack([columns, np.ones(len(columns))]).astype(np.float64)
    penalties = np.diag([penalty] * columns.shape[1] + [0])
    solution = np.linalg.solve(with_bias.T @ with_bias + penalties, with_bias.T @ np.eye(CLASSES)[labels])
    return solution[:-1], solution[-1] - 1 / CLASSES


def primal(columns: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> Primal:
    return Primal.of(lambda rows: columns[rows], labels, CLASSES, folds)


def dual(columns: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> Dual:
    return Dual(columns @ columns.T, columns, labels, CLASSES, folds)


@pytest.mark.parametrize("way", [primal, dual])
@pytest.mark.parametrize(("count", "width"), [(200, 30), (40, 90)])
@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_both_ways_give_the_solution_whatever_is_more(way, count, width, penalty):
    columns, labels, folds = problem(count, width)
    solution = way(columns, labels, folds).solve(penalty)
    kernel, bias = exactly(columns, labels, penalty)
    np.testing.assert_allclose(solution.kernel, kernel, atol=2e-5)
    np.testing.assert_allclose(solution.bias, bias, atol=2e-5)
    assert solution.kernel.dtype == solution.bias.dtype == np.float32


@pytest.mark.parametrize("way", [primal, dual])
@pytest.mark.parametrize("fold", range(5))
def test_leaving_a_fold_out_is_fitting_without_it(way, fold):
    columns, labels, folds = problem(120, 30)
    squares, others = way(columns, labels, folds), folds != fold
    solution = squares.solve(1.0, fold)
    kernel, bias = exactly(columns[others], labels[others], 1.0)
    np.testing.assert_allclose(solution.kernel, kernel, atol=2e-5)
    np.testing.assert_allclose(solution.bias, bias, atol=2e-5)
    np.testing.assert_array_equal(squares.held(fold), columns[folds == fold])


@pytest.mark.parametrize("way", [primal, dual])
def test_a_fold_without_pictures_leaves_nothing_out(way):
    columns, labels, folds = problem(60, 20)
    squares = way(columns, labels, np.minimum(folds, 3))
    np.testing.assert_allclose(squares.solve(1.0, 4).kernel, squares.solve(1.0).kernel, atol=1e-6)


@pytest.mark.parametrize("way", [primal, dual])
def test_a_class_without_pictures_has_scores_as_low_for_every_picture(way):
    columns, labels, folds = problem(60, 20)
    solution = way(columns, labels % 2, folds).solve(1.0)
    np.testing.assert_allclose(solution.kernel[:, 2], 0, atol=1e-6)
    assert solution.bias[2] == pytest.approx(-1 / 3)


def test_sums_of_pieces_are_the_sums_of_the_whole():
    columns, labels, _ = problem(500, 20)
    pieces = (Sums.of(columns[start : start + 64], labels[start : start + 64], CLASSES) for start in range(0, 500, 64))
    piecewise = Normal.of(Sums.together(pieces)).solve(1.0)
    whole = Normal.of(Sums.together([Sums.of(columns, labels, CLASSES)])).solve(1.0)
    np.testing.assert_allclose(piecewise.kernel, whole.kernel, atol=1e-6)
    np.testing.assert_allclose(piecewise.bias, whole.bias, atol=1e-6)


def test_what_32_bits_cannot_factor_is_factored_in_64():
    # Twice the same column, and a penalty that is less than the rounding of their squares in 32 bits.
    column = np.full((100, 1), 100.0, np.float32) * np.where(np.arange(100) % 2, 1, -1)[:, None].astype(np.float32)
    labels, folds = np.arange(100) % 2, np.arange(100) % 5
    solution = primal(np.hstack([column, column]), labels, folds).solve(1e-3, 0)
    assert np.isfinite(solution.kernel).all()
    assert (solution.scores(np.hstack([column, column])).argmax(axis=1) == labels).all()
