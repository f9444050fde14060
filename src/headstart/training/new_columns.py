"""New classes beside those of a finished classifier, of whose own pictures none are at hand.

The old columns stay as they are. The new ones begin as the mean direction of their class, as long as the old columns
(weight imprinting: Qi, Brown, Lowe, CVPR 2018, arXiv 1712.07136), and at break-even: an average picture of the class
is as likely to be new as old. From there they are moved as little as it takes. Pictures of new classes alone would
always be explained better by new columns that are larger still, at the price of all old classes; so among the
strengths of regularisation that cross-validation cannot tell from the best, the strongest is taken (one standard
error: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from threadpoolctl import threadpool_limits

from headstart.training.cross_validation import FOLDS, assign_folds, standard_error

STRENGTHS = tuple(float(10**exponent) for exponent in np.arange(1, -4.5, -1))
"""Strengths tried, from the strongest; they weigh squared changes against the mean log loss."""


def solve_new_columns(
    features: np.ndarray,
    labels: np.ndarray,
    old_kernel: np.ndarray,
    old_bias: np.ndarray,
    classes: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the columns that put new classes behind the old ones of a softmax classifier.

    Args:
        features: float32 `(pictures, width)`, of pictures of new classes only.
        labels: integer `(pictures,)`, numbers of the new classes, below `classes`; every one must occur.
        old_kernel: float32 `(width, old classes)`, for logits.
        old_bias: float32 `(old classes,)`.
        classes: how many new classes there are.
        seed: decides the folds.

    Returns:
        Float32 kernel `(width, classes)` and bias `(classes,)` of the new columns.
    """
    old = logsumexp(features @ old_kernel + old_bias, axis=1).astype(np.float64)
    length = float(np.linalg.norm(old_kernel, axis=0).mean())
    problem = _Problem(features.astype(np.float64), labels, old, length, classes)
    with threadpool_limits(1):
        kernel, bias = problem.solve([_choose_strength(problem, assign_folds(labels, seed))])[0]
    return kernel.astype(np.float32), bias.astype(np.float32)


def _choose_strength(problem: "_Problem", folds: np.ndarray) -> float:
    """The strongest regularisation that is as good as the best, as far as the pictures can tell."""
    parts = [folds == fold for fold in range(FOLDS) if np.any(folds == fold)]
    if not parts:
        return STRENGTHS[0]
    scored = []
    for held in parts:
        solutions = problem.rows(~held).solve(STRENGTHS)
        scored.append([problem.rows(held).losses(*solution) for solution in solutions])
    losses = [np.concatenate(strength) for strength in zip(*scored, strict=True)]
    best = min(losses, key=np.mean)
    limit = float(best.mean()) + standard_error(best)
    return next(strength for strength, tried in zip(STRENGTHS, losses, strict=True) if tried.mean() <= limit)


@dataclass(frozen=True)
class _Problem:
    """Pictures of new classes; `old` is the logarithm of what the old classes weigh together in the softmax."""

    features: np.ndarray
    labels: np.ndarray
    old: np.ndarray
    length: float
    classes: int

    def rows(self, which: np.ndarray) -> "_Problem":
        return _Problem(self.features[which], self.labels[which], self.old[which], self.length, self.classes)

    def losses(self, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Log loss of each picture, in the softmax over old and new classes."""
        return np.asarray(-self._logs(self.features @ kernel + bias)[np.arange(len(self.labels)), self.labels])

    def solve(self, strengths: tuple[float, ...] | list[float]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Kernel and bias for each strength; each search begins where the last one ended."""
        kernel, bias = self._imprinted()
        size = float(np.sqrt(np.mean(np.sum(self.features**2, axis=1))))
        columns = np.column_stack([self.features / size, np.ones(len(self.features))])
        start = self.features @ kernel + bias
        change, solutions = np.zeros((columns.shape[1], self.classes)), []
        for strength in strengths:
            change = self._least_change(columns, start, change, strength)
            solutions.append((kernel + change[:-1] / size, bias + change[-1]))
        return solutions

    def _imprinted(self) -> tuple[np.ndarray, np.ndarray]:
        means = np.stack([self.features[self.labels == label].mean(axis=0) for label in range(self.classes)], axis=1)
        kernel = means * (self.length / np.maximum(np.linalg.norm(means, axis=0), 1e-12))
        margins = self.old - np.sum(self.features * kernel.T[self.labels], axis=1)
        return kernel, np.array([margins[self.labels == label].mean() for label in range(self.classes)])

    def _least_change(self, columns: np.ndarray, start: np.ndarray, change: np.ndarray, strength: float) -> np.ndarray:
        truth = np.eye(self.classes)[self.labels]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            moved = flat.reshape(change.shape)
            logs = self._logs(start + columns @ moved)
            gradient = columns.T @ (np.exp(logs) - truth) / len(truth) + strength * moved
            return float(-np.sum(logs * truth) / len(truth) + strength / 2 * np.vdot(flat, flat)), gradient.ravel()

        found = minimize(objective, change.ravel(), jac=True, method="L-BFGS-B", options={"gtol": 1e-4})
        return np.asarray(found.x).reshape(change.shape)

    def _logs(self, new: np.ndarray) -> np.ndarray:
        return np.asarray(log_softmax(np.column_stack([new, self.old]), axis=1)[:, :-1])
