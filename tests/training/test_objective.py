"""What is minimised, and in which form the loss wants its targets."""

import keras
import numpy as np
import pytest

from headstart.recipe import Recipe
from headstart.training.objective import class_weights, make_objective

LABELS = np.array([0, 2, 1, 0])
SOFT = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1]], np.float32)
TWO = np.array([1, 0, 1, 1])
UNIT = np.array([[0.9], [0.4], [0.3], [0.6]], np.float32)


def loss_of(labels: np.ndarray, said: np.ndarray, classes: int = 3, **choices) -> float:
    objective = make_objective(Recipe(data="x", **{"label_smoothing": 0.0} | choices), classes)
    return float(objective.loss(objective.targets(labels), said))


def test_softmax_is_judged_by_the_cross_entropy_of_class_numbers():
    objective = make_objective(Recipe(data="x", label_smoothing=0.0), 3)
    assert isinstance(objective.loss, keras.losses.SparseCategoricalCrossentropy)
    np.testing.assert_array_equal(objective.targets(LABELS), LABELS)
    assert loss_of(LABELS, SOFT) == pytest.approx(-np.mean(np.log([0.7, 0.6, 0.3, 0.8])), rel=1e-6)


def test_the_categorical_loss_is_the_same_with_one_hot_targets():
    objective = make_objective(Recipe(data="x", loss="categorical"), 3)
    np.testing.assert_array_equal(objective.targets(LABELS), np.eye(3, dtype=np.float32)[LABELS])
    assert loss_of(LABELS, SOFT, loss="categorical") == pytest.approx(loss_of(LABELS, SOFT), rel=1e-6)


def test_the_binary_loss_on_softmax_asks_about_every_class_by_itself():
    targets = np.eye(3)[LABELS]
    expected = -np.mean(targets * np.log(SOFT) + (1 - targets) * np.log(1 - SOFT))
    assert loss_of(LABELS, SOFT, loss="binary") == pytest.approx(expected, rel=1e-5)


def test_one_sigmoid_unit_takes_the_probability_of_the_second_class():
    objective = make_objective(Recipe(data="x", output="sigmoid"), 2)
    np.testing.assert_array_equal(objective.targets(TWO), np.float32([[1], [0], [1], [1]]))
    expected = -np.mean(np.log([0.9, 0.6, 0.3, 0.6]))
    assert loss_of(TWO, UNIT, 2, output="sigmoid") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("choices", "labels", "said"),
    [({}, LABELS, SOFT), ({"loss": "categorical"}, LABELS, SOFT), ({"output": "sigmoid"}, TWO, UNIT)],
)
def test_smoothing_moves_targets_towards_all_classes_alike(choices, labels, said):
    classes = 2 if said is UNIT else 3
    both = np.concatenate([1 - said, said], axis=1) if said is UNIT else said
    smooth = 0.8 * np.eye(classes)[labels] + 0.2 / classes
    expected = -np.mean(np.sum(smooth * np.log(both), axis=1))
    assert loss_of(labels, said, classes, label_smoothing=0.2, **choices) == pytest.approx(expected, rel=1e-5)


def test_mixing_needs_one_hot_targets():
    assert make_objective(Recipe(data="x", augmentations="flip,mixup"), 3).one_hot
    assert not make_objective(Recipe(data="x", label_smoothing=0.0, augmentations="flip,crop"), 3).one_hot


@pytest.mark.parametrize(
    ("choices", "labels", "said", "right"),
    [
        ({}, LABELS, SOFT, 0.75),
        ({"loss": "binary"}, LABELS, SOFT, 0.75),
        ({"label_smoothing": 0.1}, LABELS, SOFT, 0.75),
        ({"output": "sigmoid"}, TWO, UNIT, 0.75),
    ],
)
def test_accuracy_counts_pictures_whatever_the_loss(choices, labels, said, right):
    objective = make_objective(Recipe(data="x", **choices), 2 if said is UNIT else 3)
    objective.metric.update_state(objective.targets(labels), said)
    assert objective.metric.name == "accuracy"
    assert float(objective.metric.result()) == pytest.approx(right)


def test_balanced_classes_count_the_same_and_pictures_one_on_average():
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4)
    weights = class_weights(labels, 5)
    assert weights.dtype == np.float32
    assert [float(weights[labels == number].sum()) for number in (0, 1, 3)] == pytest.approx([4, 4, 4])
    assert float(weights.mean()) == pytest.approx(1)
