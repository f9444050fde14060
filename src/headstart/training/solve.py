"""A linear head on kept features is a convex problem, so it is solved: no epochs, no learning rate.

Multinomial logistic regression on standardised features by L-BFGS (scikit-learn). How strongly it is regularised
is decided by cross-validation on the training pictures alone, with the one-standard-error rule (Hastie, Tibshirani,
Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10): among the strengths that are no worse
than the best by more than the standard error of its estimate, the strongest. The validation pictures stay clean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

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
    deviation[deviation < 1e-6 * max(deviation.max(), 1e-30)] = np.inf  # a constant feature says nothing
    standardised = np.ascontiguousarray((features - mean) / deviation)
    losses = _cross_validate(standardised, labels, classes, seed, advance)
    strength = _one_standard_error(losses) if losses else _FALLBACK
    solution = _fit(LogisticRegression(C=strength, max_iter=_ITERATIONS), standardised, labels)
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
    parts = [(features[fit], labels[fit], features[held], labels[held]) for fit, held in splitter.split(features, labels)]
    # Each fold's solution is the start of the search for the next C's.
    models = [LogisticRegression(max_iter=_ITERATIONS, warm_start=True) for _ in parts]
    losses: dict[float, list[float]] = {}
    for c in STRENGTHS:
        losses[c] = [_held_out_loss(model.set_params(C=c), *part) for model, part in zip(models, parts, strict=True)]
        advance(1)
        best = min(np.mean(values) for values in losses.values())
        if np.mean(losses[c]) > best + 3 * _standard_error(losses[c]):
            break
    return losses


def _held_out_loss(
    model: LogisticRegression, fit_x: np.ndarray, fit_y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray
) -> float:
    probabilities = _fit(model, fit_x, fit_y).predict_proba(held_x)
    return float(-np.mean(np.log(np.maximum(probabilities[np.arange(len(held_y)), held_y], 1e-12))))


def _fit(model: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    return model.fit(features, labels)


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
