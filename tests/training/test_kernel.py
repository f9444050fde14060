"""Kernel heads are three standard layers, safe in 32 bits, and approximate what they say they do."""

import keras
import numpy as np
import pytest

from headstart.training.kernel import Nystroem, Radial, typical_gamma, unit_length
from headstart.training.solve import STEPS, KernelHead
from tests.training.test_solve import blobs, caps, softmax, solve_kernel


def exactly(head: KernelHead, features: np.ndarray) -> np.ndarray:
    """Its probabilities in 64 bits, from the radial basis function as it is usually written."""
    units = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    landmarks = head.landmark_kernel.T.astype(np.float64) / (2 * head.gamma)
    distances = np.sum((units[:, None] - landmarks) ** 2, axis=2)
    return softmax(np.exp(-head.gamma * distances) @ head.kernel + head.bias)


def as_keras(head: KernelHead) -> keras.Model:
    width, landmarks = head.landmark_kernel.shape
    model = keras.Sequential(
        [
            keras.layers.Input((width,)),
            keras.layers.UnitNormalization(),
            keras.layers.Dense(landmarks, activation="exponential"),
            keras.layers.Dense(len(head.bias), activation="softmax"),
        ]
    )
    model.set_weights([head.landmark_kernel, head.landmark_bias, head.kernel, head.bias])
    return model


@pytest.mark.parametrize("landmarks", [30, 1000])
def test_three_keras_layers_give_the_probabilities_of_the_solution(landmarks):
    features, labels = caps()
    head = solve_kernel(features, labels, 2, landmarks, seed=0)
    assert head.landmark_kernel.shape == (8, min(landmarks, 300))
    others, _ = caps(seed=1)
    np.testing.assert_allclose(as_keras(head).predict(others, verbose=0), exactly(head, others), atol=1e-3)


def test_it_learns_what_no_plane_separates():
    features, labels = caps(count=800)
    head = solve_kernel(features[:500], labels[:500], 2, 300, seed=0)
    assert np.mean(exactly(head, features[500:]).argmax(1) == labels[500:]) > 0.85


def test_the_same_seed_gives_the_same_head_and_another_one_other_landmarks():
    features, labels = caps()
    one, same, other = (solve_kernel(features, labels, 2, 50, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.kernel, same.kernel)
    np.testing.assert_array_equal(one.landmark_kernel, same.landmark_kernel)
    assert not np.array_equal(one.landmark_kernel, other.landmark_kernel)


@pytest.mark.parametrize(("classes", "share"), [(2, 0.5), (40, 0.8)])
def test_a_sum_over_the_landmarks_is_rounded_off_less_than_in_the_order_in_which_they_are_drawn(classes, share):
    features, labels = blobs(classes, count=800, spread=0.5)
    head = solve_kernel(features, labels, classes, 800, seed=0)
    units = unit_length(blobs(classes, spread=0.5, seed=1)[0])
    terms = np.exp(units @ head.landmark_kernel + head.landmark_bias)[:, :, None] * head.kernel

    def rounded_off(order):
        in_turn = np.cumsum(terms[:, order], axis=1, dtype=np.float32)[:, -1]
        return np.abs(in_turn - terms.astype(np.float64).sum(axis=1)).mean()

    drawn = np.random.default_rng(0).permutation(len(head.kernel))
    assert rounded_off(np.arange(len(drawn))) < share * rounded_off(drawn)


def test_pictures_that_are_there_many_times_do_no_harm():
    features, labels = caps(count=60)
    head = solve_kernel(np.repeat(features, 5, axis=0), np.repeat(labels, 5), 2, 300, seed=0)
    assert np.abs(head.kernel).max() < 1e3
    np.testing.assert_allclose(as_keras(head).predict(features, verbose=0), exactly(head, features), atol=1e-3)


def test_constant_features_leave_the_shares_of_the_classes():
    labels = np.repeat([0, 1], [30, 10])
    head = solve_kernel(np.ones((40, 5), np.float32), labels, 2, 20, seed=0)
    np.testing.assert_allclose(exactly(head, np.ones((1, 5))), [[0.75, 0.25]], atol=0.03)


def test_a_picture_whose_features_are_all_zero_is_no_failure():
    features, labels = caps()
    features[:3] = 0
    head = solve_kernel(features, labels, 2, 100, seed=0)
    assert np.isfinite(as_keras(head).predict(features[:4], verbose=0)).all()


def test_a_class_without_pictures_has_next_to_no_probability():
    features, labels = caps()
    head = solve_kernel(features, labels * 2, 4, 100, seed=0)
    assert exactly(head, features)[:, [1, 3]].max() < 1e-8


@pytest.mark.parametrize("count", [2, 4, 6])
def test_one_to_three_pictures_per_class_are_enough(count):
    features, labels = blobs(2, count=count, spread=5.0)
    head = solve_kernel(features - features.mean(0), labels, 2, 1000, seed=0)
    assert np.all(exactly(head, features - features.mean(0)).argmax(1) == labels)


def test_progress_is_told_of_every_fold():
    told = []
    solve_kernel(*caps(), 2, 100, seed=0, advance=told.append)
    assert 0 < sum(told) <= STEPS["kernel"]


def test_inner_products_of_columns_are_the_radial_basis_function():
    features = caps(count=80)[0]
    functions = Radial(unit_length(features), 2.0)
    basis = Nystroem.at(functions)
    columns = basis.columns(features) + basis.centre
    np.testing.assert_allclose(columns @ columns.T, functions.columns(features), atol=1e-3)


def test_the_typical_distance_is_found_whatever_the_length_of_features():
    features = np.random.default_rng(0).normal(size=(400, 200)).astype(np.float32)
    assert typical_gamma(unit_length(features * 1e4)) == pytest.approx(0.5, rel=0.05)
