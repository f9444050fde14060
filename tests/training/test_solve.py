"""The linear head is the solution of its problem, and is chosen without a look at the validation pictures."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headstart.training.solve import STRENGTHS, _one_standard_error, solve_linear


def blobs(classes: int, count: int = 300, width: int = 20, spread: float = 1.0, seed: int = 0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, width)) * spread
    features = centres[labels] + random.normal(size=(count, width))
    # Features of very different scale and offset, as those of a network are.
    return (features * random.uniform(0.01, 100, width) + random.normal(size=width) * 50).astype(np.float32), labels


def probabilities(head, features: np.ndarray) -> np.ndarray:
    logits = features.astype(np.float64) @ head.kernel + head.bias
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_it_is_the_regularised_solution_on_standardised_features(classes):
    features, labels = blobs(classes)
    head = solve_linear(features, labels, classes, seed=0)
    standardised = (features - features.mean(0)) / features.std(0)
    expected = LogisticRegression(C=head.strength, max_iter=2000).fit(standardised, labels)
    np.testing.assert_allclose(probabilities(head, features), expected.predict_proba(standardised), atol=5e-3)
    assert head.kernel.shape == (20, classes)
    assert head.kernel.dtype == head.bias.dtype == np.float32


def test_it_generalises():
    features, labels = blobs(4, count=800)
    head = solve_linear(features[:400], labels[:400], 4, seed=0)
    assert np.mean(probabilities(head, features[400:]).argmax(1) == labels[400:]) > 0.9


def test_the_same_seed_gives_the_same_head_to_the_last_bit():
    features, labels = blobs(3)
    one, other = (solve_linear(features, labels, 3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.kernel, other.kernel)
    np.testing.assert_array_equal(one.bias, other.bias)


def test_a_constant_feature_gets_no_weight():
    features, labels = blobs(2)
    features[:, 3] = 7.0
    head = solve_linear(features, labels, 2, seed=0)
    assert np.all(head.kernel[3] == 0)
    assert np.isfinite(head.kernel).all()


def test_noise_is_regularised_strongly_and_signal_is_not():
    features, _ = blobs(2)
    noise = solve_linear(features, np.random.default_rng(1).integers(0, 2, 300), 2, seed=0)
    signal = solve_linear(*blobs(2, spread=3.0), 2, seed=0)
    assert noise.strength < signal.strength


def test_with_too_few_pictures_to_cross_validate_a_middling_strength_is_taken():
    features, labels = blobs(2, count=300)
    few = np.r_[np.flatnonzero(labels == 0)[:5], np.flatnonzero(labels == 1)[:1]]
    head = solve_linear(features[few], labels[few], 2, seed=0)
    assert head.cross_validated == {}
    assert head.strength in STRENGTHS


def test_among_strengths_that_are_about_as_good_the_strongest_regularisation_is_taken():
    losses = {0.01: [1.0, 1.2, 1.1], 0.1: [0.52, 0.62, 0.57], 1.0: [0.5, 0.6, 0.55], 10.0: [0.9, 0.8, 1.0]}
    assert _one_standard_error(losses) == 0.1


def test_progress_is_told_of_every_strength():
    told = []
    head = solve_linear(*blobs(2), 2, seed=0, advance=told.append)
    assert len(told) == len(head.cross_validated) >= 3
