"""Solved heads are the solution of their problem, and are chosen without a look at the validation pictures."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from headstart.training import solve
from headstart.training.candidates import LINEAR_PENALTIES
from headstart.training.cross_validation import assign_folds, estimate
from headstart.training.new_columns import solve_new_columns
from headstart.training.rows import InMemory
from headstart.training.solve import STEPS, BestHead, KernelHead, LinearHead, single_unit


def solve_linear(features: np.ndarray, *rest, **more) -> LinearHead:
    return solve.solve_linear(InMemory(features), *rest, **more)


def solve_kernel(features: np.ndarray, *rest, **more) -> KernelHead:
    return solve.solve_kernel(InMemory(features), *rest, **more)


def solve_best(features: np.ndarray, *rest, **more) -> BestHead:
    return solve.solve_best(InMemory(features), *rest, **more)


def blobs(classes: int, count: int = 300, width: int = 20, spread: float = 1.0, seed: int = 0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, width)) * spread
    features = centres[labels] + random.normal(size=(count, width))
    # Features of very different scale and offset, as those of a network are.
    return (features * random.uniform(0.01, 100, width) + random.normal(size=width) * 50).astype(np.float32), labels


def caps(count: int = 300, width: int = 8, seed: int = 0):
    """Two classes on the sphere that no plane separates: the signs of two coordinates agree, or not."""
    features = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    features[:, :2] *= 4
    return features, (features[:, 0] * features[:, 1] > 0).astype(int)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def probabilities(head: LinearHead, features: np.ndarray) -> np.ndarray:
    return softmax(features.astype(np.float64) @ head.kernel + head.bias)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_it_is_the_regularised_solution_on_standardised_features(classes):
    features, labels = blobs(classes)
    head = solve_linear(features, labels, classes, seed=0)
    standardised = (features - features.mean(0)) / features.std(0)
    # One column for each class, -1 and 1, where the head has 0 and 1.
    expected = RidgeClassifier(alpha=head.penalty * 20).fit(standardised, np.eye(classes, dtype=int)[labels])
    scores = expected.decision_function(standardised) / 2
    scores -= scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        probabilities(head, features), softmax(scores * head.estimate.scale + head.estimate.bias), atol=1e-4
    )
    assert head.kernel.shape == (20, classes)
    assert head.kernel.dtype == head.bias.dtype == np.float32


def test_it_generalises_and_its_estimate_comes_true():
    features, labels = blobs(4, count=1200, spread=0.5)
    head = solve_linear(features[:600], labels[:600], 4, seed=0)
    predicted = probabilities(head, features[600:])
    accuracy, loss = np.mean(predicted.argmax(1) == labels[600:]), -np.log(predicted[range(600), labels[600:]]).mean()
    assert accuracy > 0.8
    assert abs(accuracy - head.estimate.accuracy) < 4 * head.estimate.accuracy_error
    assert abs(loss - head.estimate.loss) < 4 * head.estimate.loss_error


def test_the_same_seed_gives_the_same_head_to_the_last_bit():
    features, labels = blobs(3)
    one, other = (solve_linear(features, labels, 3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.kernel, other.kernel)
    np.testing.assert_array_equal(one.bias, other.bias)


def test_numbering_the_classes_otherwise_changes_nothing_else():
    features, labels = blobs(3, spread=0.4)
    renumbered = np.array([2, 0, 1])
    one = solve_linear(features, labels, 3, seed=0)
    other = solve_linear(features, renumbered[labels], 3, seed=0)
    # The folds are dealt class by class, so that they differ; what is learned does not, but for their chance.
    difference = probabilities(one, features) - probabilities(other, features)[:, renumbered]
    assert np.abs(difference).max() < 0.1


def test_a_constant_feature_gets_no_weight():
    features, labels = blobs(2)
    features[:, 3] = 7.0
    head = solve_linear(features, labels, 2, seed=0)
    assert np.all(head.kernel[3] == 0)
    assert np.isfinite(head.kernel).all()


def test_nothing_but_constant_features_leaves_the_shares_of_the_classes():
    labels = np.repeat([0, 1], [30, 10])
    predicted = probabilities(solve_linear(np.ones((40, 5), np.float32), labels, 2, seed=0), np.ones((1, 5)))
    np.testing.assert_allclose(predicted, [[0.75, 0.25]], atol=0.03)


def test_noise_predicts_nothing():
    features, _ = blobs(2)
    head = solve_linear(features, np.random.default_rng(1).integers(0, 2, 300), 2, seed=0)
    assert np.abs(probabilities(head, features) - 0.5).max() < 0.25


def test_features_that_are_mostly_noise_are_regularised_more_strongly():
    faint, clear = (solve_linear(*blobs(4, width=100, spread=spread), 4, seed=0) for spread in (0.15, 2.0))
    assert faint.penalty > clear.penalty


def test_a_class_in_the_middle_of_others_is_not_overlooked():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 900)
    features = random.normal(size=(900, 64)) + labels[:, None] / 2
    head = solve_linear(features.astype(np.float32), labels, 3, seed=0)
    middle = labels == 1
    assert np.mean(probabilities(head, features[middle]).argmax(1) == 1) > 0.85


def test_a_class_without_pictures_has_next_to_no_probability_wherever_one_looks():
    features, labels = blobs(3)
    head = solve_linear(features, np.array([0, 2, 5])[labels], 7, seed=0)
    elsewhere = np.random.default_rng(0).normal(size=(500, 20)) * 1e4
    assert probabilities(head, elsewhere)[:, [1, 3, 4, 6]].max() < 1e-8
    assert np.mean(probabilities(head, features).argmax(1) == np.array([0, 2, 5])[labels]) > 0.95


def test_a_single_class_is_certain():
    head = solve_linear(np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), np.ones(9, int), 3, seed=0)
    np.testing.assert_allclose(probabilities(head, np.zeros((1, 4))), [[0, 1, 0]], atol=1e-8)


def test_two_pictures_per_class_are_enough_but_no_reason_for_certainty():
    features, labels = blobs(3, count=6, spread=5.0)
    head = solve_linear(features, labels, 3, seed=0)
    predicted = probabilities(head, features)
    assert np.all(predicted.argmax(1) == labels)
    assert predicted.max() < 0.999
    assert len(head.estimate.losses) == 6


def test_with_too_few_pictures_to_hold_any_out_the_middling_penalty_is_taken():
    head = solve_linear(*blobs(3, count=3, spread=5.0), 3, seed=0)
    assert head.tried == {}
    assert head.penalty == LINEAR_PENALTIES[len(LINEAR_PENALTIES) // 2]
    assert np.isnan(head.estimate.loss)


def test_the_only_picture_of_a_class_is_never_held_out():
    labels = np.array([0] * 12 + [1] + [2] * 7)
    folds = assign_folds(labels, seed=0)
    assert folds[12] == -1
    for label in (0, 2):
        assert set(np.bincount(folds[labels == label], minlength=5)) <= {1, 2, 3}


def test_groups_are_not_divided_over_folds_and_what_is_left_whole_in_one_is_not_held_out():
    random = np.random.default_rng(0)
    groups = [f"p{number}" for number in random.integers(0, 40, 300)]
    labels = np.array([int(group[1:]) % 3 for group in groups])
    folds = assign_folds(labels, 0, groups)
    assert set(folds) == set(range(5))
    for group in set(groups):
        assert len({fold for fold, other in zip(folds, groups, strict=True) if other == group}) == 1
    for label in range(3):
        assert set(folds[labels == label]) == set(range(5))
    lone = assign_folds(np.append(labels, [3, 3]), 0, [*groups, "lone", "lone"])
    assert list(lone[-2:]) == [-1, -1]
    assert np.array_equal(assign_folds(labels, 0, [str(n) for n in range(100, 400)]), assign_folds(labels, 0))


def test_scores_that_are_logits_already_are_left_about_as_they_are():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3)).astype(np.float32) * 2
    labels = np.array([random.choice(3, p=row) for row in softmax(logits.astype(np.float64))])
    assert estimate(logits, labels).scale == pytest.approx(1, abs=0.1)
    assert estimate(logits / 7, labels).scale == pytest.approx(7, abs=0.7)


def test_rare_classes_get_as_much_probability_as_they_have_pictures():
    random = np.random.default_rng(0)
    labels = (random.random(1000) < 0.03).astype(int)
    features = (random.normal(size=(1000, 64)) + labels[:, None] * 0.35).astype(np.float32)
    predicted = probabilities(solve_linear(features, labels, 2, seed=0), features)[:, 1]
    assert predicted.mean() == pytest.approx(labels.mean(), rel=0.2)


def test_progress_is_told_of_every_fold():
    told = []
    solve_linear(*blobs(2), 2, seed=0, advance=told.append)
    assert told == [1] * STEPS["linear"]
    told.clear()
    solve_best(*blobs(2), 2, 100, seed=0, advance=told.append)
    assert STEPS["linear"] < sum(told) <= STEPS["auto"]


def test_the_linear_head_is_chosen_where_classes_are_blobs():
    best = solve_best(*blobs(3, count=600, spread=0.5), 3, 300, seed=0)
    assert isinstance(best.chosen, LinearHead)
    assert best.chosen.estimate is best.linear


def test_the_kernel_head_is_chosen_where_no_plane_separates_the_classes():
    best = solve_best(*caps(count=600), 2, 300, seed=0)
    assert isinstance(best.chosen, KernelHead)
    assert best.kernel.accuracy > 0.85 > 0.6 > best.linear.accuracy


def test_a_sigmoid_unit_says_what_the_softmax_over_two_classes_says():
    features, labels = blobs(2, spread=0.3)
    head = solve_linear(features, labels, 2, seed=0)
    kernel, bias = single_unit(head.kernel, head.bias)
    assert kernel.shape == (20, 1)
    sigmoid = 1 / (1 + np.exp(-(features.astype(np.float64) @ kernel + bias)))
    np.testing.assert_allclose(sigmoid[:, 0], probabilities(head, features)[:, 1], atol=1e-5)


def grown(seed: int = 0):
    """A classifier of 20 old classes, held-back pictures of these, and a few pictures of 3 new ones."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(23, 64)) * 0.5

    def pictures(classes, count):
        labels = random.choice(classes, count)
        # Never negative and with a mean of their own, as pooled features are.
        return np.maximum(centres[labels] + random.normal(size=(count, 64)) * 0.5 + 0.2, 0).astype(np.float32), labels

    old = solve_linear(*pictures(np.arange(20), 1500), 20, seed=0)
    return old, pictures(np.arange(20), 500), pictures(np.arange(20, 23), 45), pictures(np.arange(20, 23), 300)


def test_new_columns_know_new_classes_and_leave_the_old_ones_alone():
    old, (old_features, old_labels), (features, labels), (held_features, held_labels) = grown()
    kernel, bias = solve_new_columns(features, labels - 20, old.kernel, old.bias, 3, seed=0)
    assert kernel.shape == (64, 3)
    assert kernel.dtype == bias.dtype == np.float32
    both = np.hstack([old.kernel, kernel]), np.concatenate([old.bias, bias])
    before = np.mean((old_features @ old.kernel + old.bias).argmax(1) == old_labels)
    after = np.mean((old_features @ both[0] + both[1]).argmax(1) == old_labels)
    assert after > before - 0.05
    assert np.mean((held_features @ both[0] + both[1]).argmax(1) == held_labels) > 0.9


def test_a_new_column_for_a_single_picture_is_its_imprint():
    old, _, (features, _), _ = grown()
    kernel, bias = solve_new_columns(features[:1], np.zeros(1, int), old.kernel, old.bias, 1, seed=0)
    cosine = features[0] @ kernel[:, 0] / np.linalg.norm(features[0]) / np.linalg.norm(kernel)
    assert cosine > 0.99
    assert np.isfinite(bias).all()
