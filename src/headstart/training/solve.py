"""A linear head on kept features is a convex problem, so it is solved: no epochs, no learning rate.

Multinomial logistic regression on standardised features by L-BFGS (scikit-learn). How strongly it is regularised
is decided by cross-validation on the training pictures alone, with the one-standard-error rule (Hastie, Tibshirani,
Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10): among the strengths that are no worse
than the best by more than the standard error of its estimate, the strongest. The validation pictures stay clean.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from headstart.progress import Advance

STRENGTHS = tuple(float(10**exponent) for exponent in np.arange(-4, 1.5, 0.5))
"""Values tried for C, the inverse of the regularisation's strength, from the strongest to the weakest."""

FOLDS = 5
_FALLBACK = 1e-2  # where there are too few pictures to cross-validate; in the middle of what is usually chosen
_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearHead:
    """A solved linear head: `softmax(features @ kernel + bias)`.

    Attributes:
        kernel: float32 `(features, classes)`.
        bias: float32 `(classes,)`.
        strength: the C that was chosen.
        cross_validated: mean log loss of each C that was tried, over the folds; empty where there were too few
            pictures.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    cross_validated: dict[float, float]


def solve_linear(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seed: int,
    advance: Advance = lambda count: None,
) -> LinearHead:
    """Solve for the best linear head.

    Args:
        features: float `(pictures, width)`.
        labels: integer `(pictures,)`, class numbers below `classes`; every class must occur.
        classes: how many classes there are, at least two.
        seed: decides the folds.
        advance: told of every strength that has been tried.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    # What varies by less than a thousandth of what the others do is rounding; blown up, it would drown the rest.
    deviation[deviation <= 1e-3 * deviation.max()] = np.inf
    standardised = ((features - mean.astype(np.float32)) / deviation.astype(np.float32)).astype(np.float32)
    # The matrices are small: threads inside each product cost seven times what they save, threads over folds do not.
    with threadpool_limits(1):
        losses = _cross_validate(standardised, labels, classes, seed, advance)
        strength = _one_standard_error(losses) if losses else _FALLBACK
        solution = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(standardised, labels)
    kernel, bias = _softmax_form(solution)
    kernel = kernel / deviation[:, None]
    return LinearHead(
        kernel.astype(np.float32),
        (bias - mean @ kernel).astype(np.float32),
        strength,
        {c: float(np.mean(fold_losses)) for c, fold_losses in losses.items()},
    )


def _cross_validate(
    features: np.ndarray, labels: np.ndarray, classes: int, seed: int, advance: Advance
) -> dict[float, list[float]]:
    """The log loss of every fold for each C; stops when a weaker regularisation can no longer win."""
    folds = min(FOLDS, int(np.bincount(labels, minlength=classes).min()))
    if folds < 2:
        return {}
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = [_Fold(features, labels, *rows) for rows in splitter.split(labels, labels)]
    losses: dict[float, list[float]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for c in STRENGTHS:
            losses[c] = list(pool.map(lambda fold, c=c: fold.held_out_loss(c), parts))
            advance(1)
            best = min(np.mean(values) for values in losses.values())
            if np.mean(losses[c]) > best + 3 * _standard_error(losses[c]):
                break
    return losses


class _Fold:
    """One fold; the solution for one C is where the search for the next begins.

    Its rows are copied only while it is fitted, so that memory holds as many copies as there are threads.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, fit: np.ndarray, held: np.ndarray):
        self._features, self._labels = features, labels
        self._fit, self._held = fit, held
        self._model = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)

    def held_out_loss(self, c: float) -> float:
        """Mean log loss on the rows held out."""
        self._model.set_params(C=c).fit(self._features[self._fit], self._labels[self._fit])
        probabilities = self._model.predict_proba(self._features[self._held])
        of_truth = probabilities[np.arange(len(self._held)), self._labels[self._held]]
        return float(-np.mean(np.log(np.maximum(of_truth, 1e-12))))


def _one_standard_error(losses: dict[float, list[float]]) -> float:
    best = min(losses, key=lambda c: float(np.mean(losses[c])))
    limit = np.mean(losses[best]) + _standard_error(losses[best])
    return min(c for c, values in losses.items() if np.mean(values) <= limit)


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values) / np.sqrt(len(values)))


def _softmax_form(solution: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias for a softmax; for two classes scikit-learn gives a single logit, which is halved onto both."""
    kernel, bias = solution.coef_.T, solution.intercept_
    if kernel.shape[1] == 1:
        return np.hstack([-kernel / 2, kernel / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    return kernel, bias
