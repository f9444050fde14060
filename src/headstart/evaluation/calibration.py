"""Whether probabilities are as often right as they say, and what makes them so."""

from dataclasses import dataclass

import numpy as np

BINS = 15
"""Bins of confidence, as in Guo et al."""

_TINY = 1e-12  # probabilities below it are taken for it: float32 softmax gives nothing between it and 0
_COLDEST, _HOTTEST = 1 / 20, 20.0
_STEPS = 60


@dataclass(frozen=True)
class Bin:
    """Pictures whose most probable class is about as probable.

    Attributes:
        low: the bin is above this confidence, 0 to 1.
        high: and at most at this.
        n: pictures in it.
        confidence: mean probability of their most probable class; None where there are none.
        accuracy: share of them that are of that class; None where there are none.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The reliability diagram (Niculescu-Mizil and Caruana, ICML 2005): bins of equal width.

    Args:
        probabilities: float `(pictures, classes)`; rows sum to one.
        labels: integer `(pictures,)`, the true classes.
        bins: how many.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        n = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if n else (None, None)
        found.append(Bin(float(edges[number]), float(edges[number + 1]), n, *means))
    return found


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error: how far confidence and accuracy are apart in a bin, in the mean over pictures.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599. Few pictures
    make it larger than it is.

    Args:
        probabilities: float `(pictures, classes)`; rows sum to one.
        labels: integer `(pictures,)`, the true classes; at least one picture.
        bins: how many.

    Returns:
        0 to 1.
    """
    known = [one for one in reliability(probabilities, labels, bins) if one.confidence is not None]
    return sum(one.n * abs((one.accuracy or 0.0) - (one.confidence or 0.0)) for one in known) / len(labels)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes the cross-entropy least (Guo et al., ICML 2017, section 4.2).

    The cross-entropy is convex in the inverse of the temperature, so its slope is bisected.

    Args:
        probabilities: float `(pictures, classes)`, of pictures that were not trained on; rows sum to one.
        labels: integer `(pictures,)`, the true classes; at least one picture.

    Returns:
        Above 1 where the classifier is too sure of itself; from 0.05 to 20.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _TINY))
    of_truth = logits[np.arange(len(labels)), labels]
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        slope = np.mean(np.sum(_softmax(middle * logits) * logits, axis=1) - of_truth)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What probabilities become where their logits are divided by a temperature; float32, of the same shape."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _TINY))
    return _softmax(logits / temperature).astype(np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
