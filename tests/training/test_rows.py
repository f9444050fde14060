"""Heads are fitted on all pictures, but never have more of them in memory than so many."""

import threading

import numpy as np
import pytest

from headstart.training import solve
from headstart.training.rows import InMemory, on_threads
from headstart.training.solve import solve_best, solve_kernel, solve_linear
from tests.training.test_solve import blobs, caps


class Counted:
    """Features that note how many rows are asked for at once, and how often each one is."""

    def __init__(self, values: np.ndarray):
        self.values, self.most, self.times = values, 0, np.zeros(len(values), int)

    def __len__(self) -> int:
        return len(self.values)

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(rows))
        self.times[rows] += 1
        return self.values[rows]


@pytest.fixture
def small_sample(monkeypatch):
    """Choices are made on 600 pictures."""
    monkeypatch.setattr(solve, "_SAMPLE", 600)


@pytest.mark.parametrize("count", [1500, 6000])
def test_more_pictures_do_not_raise_what_is_in_memory(small_sample, count):
    for head in (
        lambda features, labels: solve_linear(features, labels, 2, 0),
        lambda features, labels: solve_kernel(features, labels, 2, 100, 0),
        lambda features, labels: solve_best(features, labels, 2, 100, 0),
    ):
        values, labels = caps(count)
        features = Counted(values)
        head(features, labels)
        assert features.most <= 1024
        assert set(features.times) == {1, 2}  # all of them for the fit, some for the sample before
        assert (features.times == 2).sum() == 600


def test_a_head_chosen_on_a_sample_is_fitted_on_all_pictures(small_sample):
    values, labels = blobs(3, count=4000, spread=0.3)
    head = solve_linear(InMemory(values), labels, 3, 0)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    columns = np.column_stack([(values - mean) / deviation, np.ones(len(values))]).astype(np.float64)
    penalties = np.diag([head.penalty * 20] * 20 + [0])
    expected = np.linalg.solve(columns.T @ columns + penalties, columns.T @ np.eye(3)[labels])
    found = head.kernel * deviation[:, None] / head.estimate.scale
    # The sample's deviations are a little different, and the penalty with them.
    np.testing.assert_allclose(found, expected[:-1], atol=0.05 * np.abs(expected[:-1]).max())
    assert len(head.estimate.losses) == 600


def test_a_class_that_the_sample_missed_is_learned_all_the_same(small_sample):
    values, labels = blobs(3, count=4000, spread=3.0)
    rare = np.flatnonzero(labels == 2)[2:]
    keep = np.setdiff1d(np.arange(4000), rare)
    head = solve_linear(InMemory(values[keep]), labels[keep], 3, 0)
    assert np.isfinite(head.kernel).all()
    assert np.abs(head.kernel[:, 2]).max() > 0


def test_results_come_in_order_whichever_is_done_first():
    second = threading.Event()

    def slowly(number: int) -> int:
        if number == 0:
            second.wait(10)
        second.set()
        return number

    assert list(on_threads(slowly, range(20))) == list(range(20))


def test_items_are_taken_only_as_they_are_needed():
    taken = []
    results = on_threads(lambda number: number, (taken.append(number) or number for number in range(100)))
    next(results)
    assert len(taken) <= 9
    results.close()
