"""When it had better say nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.evaluation.selective import abstain_for, coverage_curve


def some(seed: int, pictures: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), pictures).round(2) + 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities, random.integers(0, 3, pictures)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_no_lower_threshold_is_as_precise(seed: int, wished: float):
    probabilities, labels = some(seed)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    found = abstain_for(probabilities, labels, wished)
    precise = {
        t: right[confidence >= t].mean() for t in set(confidence.tolist()) if right[confidence >= t].mean() >= wished
    }
    if found is None:
        assert not precise
        return
    assert found.threshold == min(precise)
    assert found.precision == precise[found.threshold] >= wished
    assert found.answered == (confidence >= found.threshold).sum()


def test_the_last_point_of_the_curve_answers_everything():
    probabilities, labels = some(0)
    last = coverage_curve(probabilities, labels)[-1]
    assert last.coverage == 1
    assert last.precision == (probabilities.argmax(axis=1) == labels).mean()


def test_pictures_of_the_same_confidence_are_answered_together():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2]])
    assert [one.answered for one in coverage_curve(probabilities, np.array([0, 0, 1]))] == [1, 3]


def test_of_what_is_never_right_nothing_is_answered():
    assert abstain_for(np.array([[0.9, 0.1]]), np.array([1]), 0.5) is None
