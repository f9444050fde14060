"""Two classifiers on the same pictures: counts, difference and its interval."""

import numpy as np
import pytest

from headstart.evaluation.paired import PairedDifference, paired_difference

LABELS = np.zeros(200, int)


def said(right: np.ndarray) -> np.ndarray:
    """Probabilities of two classes that are right where they should be; the true class is always the first."""
    return np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])


def test_pictures_that_only_one_of_them_gets_right_are_counted():
    one, other = np.arange(200) < 150, (np.arange(200) >= 10) & (np.arange(200) < 140)
    found = paired_difference(said(one), said(other), LABELS)
    assert (found.gained, found.lost) == (20, 0)
    assert found.accuracy == pytest.approx(0.1)
    assert 0 < found.low < 0.1 < found.high < 0.2


def test_the_other_way_round_it_is_the_same_with_another_sign():
    one, other = np.arange(200) % 3 > 0, np.arange(200) % 5 > 0
    there, back = (paired_difference(said(a), said(b), LABELS) for a, b in ((one, other), (other, one)))
    assert (there.accuracy, there.gained, there.lost) == (-back.accuracy, back.lost, back.gained)
    assert there.low == pytest.approx(-back.high, abs=0.02)


def test_the_same_classifier_differs_by_nothing():
    right = np.arange(200) % 2 == 0
    assert paired_difference(said(right), said(right), LABELS) == PairedDifference(0, 0, 0, 0, 0)


def test_the_interval_is_as_wide_as_theory_says_and_the_same_every_time():
    one, other = np.arange(200) % 10 != 0, np.arange(200) % 10 != 1
    found = paired_difference(said(one), said(other), LABELS)
    half = 1.96 * np.sqrt(0.2 / 200)
    assert (found.low, found.high) == pytest.approx((-half, half), abs=0.01)
    assert found == paired_difference(said(one), said(other), LABELS)


def test_one_picture_is_enough():
    found = paired_difference(said(np.array([True])), said(np.array([False])), np.zeros(1, int))
    assert found == PairedDifference(1, 1, 1, 1, 0)
