"""The figures, against scikit-learn's and SciPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from headstart.evaluation.evaluate import MANY_CLASSES, figures, share_interval
from headstart.evaluation.ranking import precision_recall_curve, roc_curve


def some(classes: int, pictures: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are often right, float32 as models give them, and the true classes; some are equal."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, pictures)
    logits = random.normal(size=(pictures, classes)).round(1)
    logits[np.arange(pictures), labels] += 1
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_all_figures_are_those_of_scikit_learn(classes: int):
    probabilities, labels = some(classes)
    names = [f"c{number}" for number in range(classes)]
    found, predicted = figures(probabilities, labels, names), probabilities.argmax(axis=1)
    report = metrics.classification_report(labels, predicted, target_names=names, output_dict=True, zero_division=0)
    for name in names:
        each = found.per_class[name]
        assert (each.precision or 0) == pytest.approx(report[name]["precision"])
        assert each.recall == pytest.approx(report[name]["recall"])
        assert each.f1 == pytest.approx(report[name]["f1-score"])
        assert each.n == report[name]["support"]
    wanted = report["macro avg"]
    assert found.macro == pytest.approx(
        {"precision": wanted["precision"], "recall": wanted["recall"], "f1": wanted["f1-score"]}
    )
    assert found.macro["recall"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    exact = probabilities.astype(float)
    loss = metrics.log_loss(labels, exact / exact.sum(axis=1, keepdims=True))
    assert found.loss == pytest.approx(loss, abs=1e-6)
    assert found.confusion == metrics.confusion_matrix(labels, predicted).tolist()


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_areas_under_curves_are_those_of_scikit_learn(classes: int):
    probabilities, labels = some(classes)
    found = figures(probabilities, labels, [str(number) for number in range(classes)])
    if classes == 2:
        auc = metrics.roc_auc_score(labels, probabilities[:, 1])
        average = metrics.average_precision_score(labels, probabilities[:, 1])
    else:
        chosen = [(labels == number, probabilities[:, number]) for number in range(classes)]
        auc = np.mean([metrics.roc_auc_score(*each) for each in chosen])
        average = np.mean([metrics.average_precision_score(*each) for each in chosen])
    assert found.auc == pytest.approx(auc)
    assert found.average_precision == pytest.approx(average)


def test_top_k_is_scikit_learns_where_no_two_classes_are_equally_probable():
    random = np.random.default_rng(1)
    probabilities, labels = random.dirichlet(np.ones(8), 300), random.integers(0, 8, 300)
    found = figures(probabilities, labels, list("abcdefgh"))
    assert set(found.top_k) == {"2", "3", "5"}
    for k, share in found.top_k.items():
        assert share == pytest.approx(metrics.top_k_accuracy_score(labels, probabilities, k=int(k), labels=range(8)))


def test_top_k_never_counts_a_model_that_knows_nothing_as_right_more_often_than_k_classes_can_be():
    labels = np.repeat(np.arange(4), 10)
    found = figures(np.full((40, 4), 0.25, np.float32), labels, list("abcd"))
    assert found.accuracy == 0.25
    assert found.top_k == {"2": 0.5, "3": 0.75}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_wilsons(hits_of: tuple[int, int]):
    hits, n = hits_of
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    assert share_interval(hits, n) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_nothing_is_known_of_a_share_of_nothing():
    assert share_interval(0, 0) == (0.0, 1.0)


def test_curves_are_those_of_scikit_learn():
    probabilities, labels = some(2)
    scores, positive = probabilities[:, 1], labels == 1
    false_rate, true_rate, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert np.allclose(roc_curve(scores, positive), (false_rate, true_rate))
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    assert np.allclose(precision_recall_curve(scores, positive), (recall[-2::-1], precision[-2::-1]))


def test_a_class_without_pictures_does_not_count_in_the_means():
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]], np.float32)
    found = figures(probabilities, np.array([0, 1]), ["a", "b", "empty"])
    assert found.macro == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert found.per_class["empty"].f1 is None
    assert found.auc == 1.0


def test_pictures_of_one_class_alone_have_no_curve():
    found = figures(np.array([[0.9, 0.1], [0.4, 0.6]], np.float32), np.array([0, 0]), ["a", "b"])
    assert found.auc is None
    assert found.average_precision is None


def test_of_very_many_classes_those_alone_are_listed_that_play_a_part():
    classes = MANY_CLASSES + 1
    probabilities = np.full((2, classes), 0.5 / (classes - 1), np.float32)
    probabilities[[0, 1], [3, 7]] = 0.5
    found = figures(probabilities, np.array([3, 5]), [f"c{number}" for number in range(classes)])
    assert list(found.per_class) == ["c3", "c5", "c7"]
    assert found.confusion == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert found.auc is None
