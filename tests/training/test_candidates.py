"""Candidates hold out what they say, and take no more room than their pictures need."""

import tracemalloc

import numpy as np
import pytest

from headstart.training.candidates import kernel_candidate, linear_candidate
from headstart.training.choice import Problem
from headstart.training.kernel import Nystroem, Radial, unit_length
from headstart.training.ridge import Dual, Primal
from headstart.training.rows import InMemory
from tests.training.test_solve import blobs, caps


def nothing(count: int) -> None:
    """Nobody wants to know."""


@pytest.mark.parametrize("landmarks", [20, 100])
def test_every_fold_is_held_out_once_and_no_landmark_with_it(landmarks):
    values, labels = caps(count=200)
    problem = Problem.of(InMemory(values), labels, 0)
    held = []
    for part in kernel_candidate(problem, landmarks, nothing).parts():
        assert isinstance(part.basis, Nystroem)
        assert len(part.basis.radial.landmarks) == landmarks
        cosines = unit_length(values) @ part.basis.radial.landmarks.T
        assert not set(problem.folds[cosines.argmax(axis=0)]) & set(part.folds)
        held += part.folds
    assert sorted(held) == list(range(5))


def test_with_nearly_all_pictures_as_landmarks_the_folds_are_kernel_ridge_regression():
    values, labels = caps(count=60)
    (part,) = kernel_candidate(Problem.of(InMemory(values), labels, 0), 50, nothing).parts()
    assert isinstance(part.basis, Radial)
    assert isinstance(part.squares, Dual)
    solution = part.squares.solve(0.1, 0)
    assert not solution.kernel[part.squares.folds == 0].any()


def test_nystroem_at_all_pictures_is_kernel_ridge_regression():
    values, labels = caps(count=120)
    functions = Radial(unit_length(values), 1.0)
    kernel = functions.columns(values)
    folds = np.arange(120) % 5
    basis = Nystroem.at(functions)
    primal = Primal.of(lambda rows: basis.columns(values[rows]), labels, 2, folds)
    dual = Dual(kernel, kernel, labels, 2, folds)
    for without in (None, 0, 4):
        one, other = basis.plain(primal.solve(0.1, without)), dual.solve(0.1, without)
        np.testing.assert_allclose(one.scores(kernel), other.scores(kernel), atol=2e-3)


def test_few_pictures_with_wide_features_take_no_matrix_of_the_width():
    values, labels = blobs(2, count=40, width=4096)
    problem = Problem.of(InMemory(values), labels, 0)
    tracemalloc.start()
    try:
        linear_candidate(problem, nothing).fit(problem)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4096 * 4096


def test_a_sample_leaves_pictures_in_their_folds_and_classes_their_share():
    values, labels = blobs(4, count=400)
    groups = [f"g{number // 4}" for number in range(400)]
    whole = Problem.of(InMemory(values), np.where(labels == 3, 0, labels), 0, groups)
    sample = whole.sample(100)
    np.testing.assert_array_equal(np.bincount(sample.labels), [50, 25, 25])
    place = [int(np.flatnonzero((values == row).all(axis=1))[0]) for row in sample.features.read(np.arange(100))]
    np.testing.assert_array_equal(sample.folds, whole.folds[place])
    np.testing.assert_array_equal(sample.labels, whole.labels[place])
