"""Two classifiers on the same pictures."""

from dataclasses import dataclass

import numpy as np

_RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedDifference:
    """How much better one classifier is than another on the same pictures.

    Attributes:
        accuracy: difference of the accuracies, -1 to 1.
        low: lower end of its 95 % interval.
        high: upper end.
        gained: pictures that only the one gets right.
        lost: pictures that only the other gets right.
    """

    accuracy: float
    low: float
    high: float
    gained: int
    lost: int


def paired_difference(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> PairedDifference:
    """Compare two classifiers, picture by picture; see `difference_of_hits`.

    Args:
        one: float `(pictures, classes)`, probabilities.
        other: the same of the classifier it is compared with.
        labels: integer `(pictures,)`; at least one.
    """
    return difference_of_hits(one.argmax(axis=1) == labels, other.argmax(axis=1) == labels)


def difference_of_hits(one: np.ndarray, other: np.ndarray) -> PairedDifference:
    """Compare two classifiers by which pictures they get right.

    The interval is a percentile bootstrap over pictures (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13), the same for the same pictures. Differences on the same pictures vary much less than accuracies do.

    Args:
        one: bool `(pictures,)`; at least one.
        other: the same of the classifier it is compared with.
    """
    gained, lost, n = int(np.sum(one & ~other)), int(np.sum(other & ~one)), len(one)
    # Each picture is a gain, a loss or neither, so a resample of the pictures is a draw of three counts.
    counts = np.random.default_rng(0).multinomial(n, [gained / n, lost / n, 1 - (gained + lost) / n], _RESAMPLES)
    low, high = np.percentile((counts[:, 0] - counts[:, 1]) / n, [2.5, 97.5])
    return PairedDifference((gained - lost) / n, float(low), float(high), gained, lost)
