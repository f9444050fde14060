"""How well a score ranks pictures of one class before the others: curves and the areas under them."""

import numpy as np


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The receiver operating characteristic.

    Args:
        scores: float `(pictures,)`, higher for what is more likely positive.
        positive: bool `(pictures,)`; some are and some are not.

    Returns:
        The shares of negative and of positive pictures with at least a score, float64 each, ascending from 0 to 1: one
        point for each different score, and (0, 0) before them.
    """
    hits, misses = _counts(scores, positive)
    return np.append(0.0, misses / misses[-1]), np.append(0.0, hits / hits[-1])


def precision_recall_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of what has at least a score, from the highest score on; arguments as for `roc_curve`.

    Returns:
        Recall, ascending to 1, and precision, float64 each, one point for each different score.
    """
    hits, misses = _counts(scores, positive)
    return hits / hits[-1], hits / (hits + misses)


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The probability that a positive picture has a higher score than a negative one; equal scores count half."""
    false_rate, true_rate = roc_curve(scores, positive)
    return float(np.trapezoid(true_rate, false_rate))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """The mean of the precisions, each weighted by how much recall it adds; arguments as for `roc_curve`.

    Not interpolated, which would flatter it (Davis and Goadrich, ICML 2006).
    """
    recall, precision = precision_recall_curve(scores, positive)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many positive and negative pictures have at least each of the different scores, the highest first."""
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], positive[order].astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(truth)[last]
    return hits.astype(float), (last + 1 - hits).astype(float)
