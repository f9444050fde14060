"""Figures from probabilities and true classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MANY_CLASSES = 200
"""With more classes than this, those that play no part in an evaluation are not listed in it."""

_SMALLEST_PROBABILITY = 1e-7  # the same bound that Keras puts on the probabilities in its cross-entropy
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares.

    Attributes:
        n: pictures of it.
        precision: share of the pictures taken for it that are of it; None where none was taken for it.
        recall: share of its pictures that were taken for it; None where it has none.
    """

    n: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Figures:
    """How a classifier fares on some pictures.

    Attributes:
        accuracy: share of pictures whose most probable class is the true one, 0 to 1.
        loss: mean cross-entropy in nats.
        n: pictures.
        per_class: by class name; of more than `MANY_CLASSES`, those alone that occur or were predicted.
        confusion: `confusion[true][predicted]`, numbers of pictures, in the order of `per_class`.
    """

    accuracy: float
    loss: float
    n: int
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
    if len(classes) > MANY_CLASSES:
        shown = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
        confusion, classes = confusion[np.ix_(shown, shown)], [classes[int(number)] for number in shown]
    return Figures(
        accuracy=float(np.mean(predicted == labels)),
        loss=cross_entropy(probabilities, labels),
        n=len(labels),
        per_class={name: _class_figures(confusion, number) for number, name in enumerate(classes)},
        confusion=confusion.tolist(),
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


def _class_figures(confusion: np.ndarray, number: int) -> ClassFigures:
    hits, true, predicted = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
    return ClassFigures(
        n=int(true),
        precision=float(hits / predicted) if predicted else None,
        recall=float(hits / true) if true else None,
    )
