"""Calibration: reliability, its error, and the temperature that mends it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from headstart.evaluation.calibration import at_temperature, calibration_error, fit_temperature, reliability


def drawn(temperature: float, pictures: int = 4000, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are as much too large as `temperature` says, and labels drawn from what they should say."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(pictures, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float):
    logits, labels = drawn(temperature)
    found = fit_temperature(softmax(logits, axis=1).astype(np.float32), labels)
    assert found == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_that_of_a_general_optimiser():
    logits, labels = drawn(2.0, pictures=300)

    def loss(temperature: float) -> float:
        return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()

    wanted = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6}).x
    assert fit_temperature(softmax(logits, axis=1), labels) == pytest.approx(wanted, rel=1e-3)


def test_scaling_mends_a_classifier_that_is_too_sure():
    logits, labels = drawn(3.0)
    probabilities = softmax(logits, axis=1)
    before = calibration_error(probabilities, labels)
    after = calibration_error(at_temperature(probabilities, fit_temperature(probabilities, labels)), labels)
    assert before > 0.15
    assert after < 0.02


def test_dividing_logits_is_what_happens_to_probabilities():
    logits, _ = drawn(1.0, pictures=50)
    assert np.allclose(at_temperature(softmax(logits, axis=1), 2.5), softmax(logits / 2.5, axis=1), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_a_temperature_changes_no_answer(seed: int, temperature: float):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), 30)
    assert (at_temperature(probabilities, temperature).argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_what_is_always_right_gets_no_temperature_below_the_bound():
    probabilities = np.tile([0.9, 0.1], (20, 1))
    found = fit_temperature(probabilities, np.zeros(20, int))
    assert 0.05 <= found < 0.1
    assert np.isfinite(at_temperature(probabilities, found)).all()


def test_probabilities_of_nought_are_no_infinity():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    assert np.isfinite(fit_temperature(probabilities, np.array([0, 1, 1])))


def test_the_error_is_worked_out_by_hand():
    # Two bins of a width of 0.5: (0.5, 1] holds all of two classes.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    labels = np.array([0, 1, 1, 1])
    assert calibration_error(probabilities, labels, bins=2) == pytest.approx(abs(0.75 - 0.75))
    fine = calibration_error(probabilities, labels, bins=10)  # a bin for each
    assert fine == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4)


def test_every_picture_is_in_one_bin_and_edges_belong_below():
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    found = reliability(probabilities, np.array([0, 0, 0]), bins=10)
    assert [one.n for one in found] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    assert found[9].confidence == 1.0
    assert found[0].accuracy is None
