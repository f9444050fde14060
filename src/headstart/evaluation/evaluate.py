"""Figures from probabilities and true classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headstart.evaluation.calibration import calibration_error
from headstart.evaluation.ranking import area_under_roc, average_precision

MANY_CLASSES = 200
"""With more classes than this, those that play no part in an evaluation are not listed in it."""

_TOP = (2, 3, 5)
_SMALLEST_PROBABILITY = 1e-7  # the same bound that Keras puts on the probabilities in its cross-entropy
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares.

    Attributes:
        n: pictures of it.
        precision: share of the pictures taken for it that are of it; None where none was taken for it.
        recall: share of its pictures that were taken for it; None where it has none.
        f1: the harmonic mean of both; None where it has no picture and none was taken for it.
    """

    n: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Figures:
    """How a classifier fares on some pictures.

    Attributes:
        accuracy: share of pictures whose most probable class is the true one, 0 to 1.
        accuracy_low: lower end of its 95 % interval.
        accuracy_high: upper end.
        loss: mean cross-entropy in nats.
        n: pictures.
        top_k: by k, as text, the share of pictures whose true class is among the k most probable ones; for those k of
            2, 3 and 5 that are fewer than the classes.
        macro: means over the classes that have pictures: `precision`, `recall`, which is the balanced accuracy, and
            `f1`. What no picture was taken for counts as 0.
        calibration_error: see `calibration_error`.
        auc: area under the ROC curve of the second of two classes; the mean of one class against the others where
            there are more; None where no class has pictures beside it, or there are more than `MANY_CLASSES`.
        average_precision: the same of precision over recall; with two classes of the second one.
        per_class: by class name; of more than `MANY_CLASSES`, those alone that occur or were predicted.
        confusion: `confusion[true][predicted]`, numbers of pictures, in the order of `per_class`.
    """

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    n: int
    top_k: dict[str, float]
    macro: dict[str, float]
    calibration_error: float
    auc: float | None
    average_precision: float | None
    per_class: dict[str, ClassFigures]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)


def figures(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Figures:
    """Compute the figures.

    Args:
        probabilities: float `(pictures, classes)`; rows sum to one.
        labels: integer `(pictures,)`, the true classes; at least one picture.
        classes: the class names.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, predicted), 1)
    right = int(np.sum(predicted == labels))
    low, high = share_interval(right, len(labels))
    auc, precision = _ranked(probabilities, labels)
    shown = np.arange(len(classes))
    if len(classes) > MANY_CLASSES:
        shown = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    of_classes = {classes[int(number)]: _class_figures(confusion, int(number)) for number in shown}
    return Figures(
        accuracy=right / len(labels),
        accuracy_low=low,
        accuracy_high=high,
        loss=cross_entropy(probabilities, labels),
        n=len(labels),
        top_k={str(k): _top_share(probabilities, labels, k) for k in _TOP if k < len(classes)},
        macro=_macro(list(of_classes.values())),
        calibration_error=calibration_error(probabilities, labels),
        auc=auc,
        average_precision=precision,
        per_class=of_classes,
        confusion=confusion[np.ix_(shown, shown)].tolist(),
    )


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy in nats; arguments as for `figures`."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY))))


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen as `hits` of `n`.

    Wilson's (JASA 1927), which holds what it says for few pictures and for shares near 0 and 1, too (Brown, Cai and
    DasGupta, Interval Estimation for a Binomial Proportion, Statistical Science 2001). None of `n = 0` is (0, 1).
    """
    if not n:
        return 0.0, 1.0
    share, wide = hits / n, _Z**2 / n
    middle = (share + wide / 2) / (1 + wide)
    reach = _Z * float(np.sqrt(share * (1 - share) / n + wide / (4 * n))) / (1 + wide)
    return (0.0 if hits == 0 else middle - reach), (1.0 if hits == n else middle + reach)


def of_both_classes(units: np.ndarray) -> np.ndarray:
    """Probabilities of two classes, float32 `(pictures, 2)`, from those of one sigmoid unit, `(pictures, 1)`."""
    return np.concatenate([1 - units, units], axis=1)


def _top_share(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Of classes that are equally probable the first come first, as everywhere."""
    rows = np.arange(len(labels))
    of_truth = probabilities[rows, labels][:, None]
    before = np.arange(probabilities.shape[1]) < labels[:, None]
    ahead = (probabilities > of_truth) | ((probabilities == of_truth) & before)
    return float(np.mean(ahead.sum(axis=1) < k))


def _ranked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float | None, float | None]:
    """Area under the ROC curve and average precision."""
    classes = probabilities.shape[1]
    if classes > MANY_CLASSES:
        return None, None
    chosen = [1] if classes == 2 else range(classes)
    counts = np.bincount(labels, minlength=classes)
    known = [number for number in chosen if 0 < counts[number] < len(labels)]
    if not known:
        return None, None
    scores = [(probabilities[:, number], labels == number) for number in known]
    return (
        float(np.mean([area_under_roc(*score) for score in scores])),
        float(np.mean([average_precision(*score) for score in scores])),
    )


def _class_figures(confusion: np.ndarray, number: int) -> ClassFigures:
    hits, true, predicted = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
    return ClassFigures(
        n=int(true),
        precision=float(hits / predicted) if predicted else None,
        recall=float(hits / true) if true else None,
        f1=float(2 * hits / (true + predicted)) if true + predicted else None,
    )


def _macro(of_classes: list[ClassFigures]) -> dict[str, float]:
    with_pictures = [each for each in of_classes if each.n]
    return {
        name: float(np.mean([getattr(each, name) or 0.0 for each in with_pictures]))
        for name in ("precision", "recall", "f1")
    }
