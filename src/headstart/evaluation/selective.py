"""When a classifier had better say nothing: a threshold on its confidence, chosen for a wished precision."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Abstention:
    """What answering only from a confidence on comes to.

    Attributes:
        threshold: the least probability of the most probable class that is answered at, 0 to 1.
        precision: share of the answers that are right; 1 where there are none.
        right: how many of them are.
        answered: how many there are.
        n: pictures.
    """

    threshold: float
    precision: float
    right: int
    answered: int
    n: int

    @property
    def coverage(self) -> float:
        """Share of the pictures that are answered."""
        return self.answered / self.n


def coverage_curve(probabilities: np.ndarray, labels: np.ndarray) -> list[Abstention]:
    """What every threshold comes to, from the highest to the lowest: El-Yaniv and Wiener, JMLR 2010.

    Args:
        probabilities: float `(pictures, classes)`; rows sum to one.
        labels: integer `(pictures,)`, the true classes; at least one picture.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum((probabilities.argmax(axis=1) == labels)[order])
    ranked = confidence[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return [
        Abstention(
            float(ranked[place]), float(right[place] / (place + 1)), int(right[place]), int(place) + 1, len(labels)
        )
        for place in last
    ]


def abstain_for(probabilities: np.ndarray, labels: np.ndarray, precision: float) -> Abstention | None:
    """The threshold that answers most pictures and is still as precise as wished on them.

    It is chosen on the pictures given, so that on others it is about as precise, not surely so.

    Args:
        probabilities: float `(pictures, classes)`, of pictures that were not trained on; rows sum to one.
        labels: integer `(pictures,)`, the true classes; at least one picture.
        precision: the wished one, above 0, at most 1.

    Returns:
        None where not even the most certain picture is right.
    """
    enough = [one for one in coverage_curve(probabilities, labels) if one.precision >= precision]
    return max(enough, key=lambda one: one.answered, default=None)
