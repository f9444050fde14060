"""What is solved, what was chosen for it, and the classifier that comes of it: what all solved heads share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from headstart.training.cross_validation import Estimate, assign_folds, by_class, nothing_estimated
from headstart.training.ridge import Solution
from headstart.training.rows import Features, InMemory

_ABSENT = -20.0  # logit of a class without pictures; the largest of the others is never below 0


@dataclass(frozen=True)
class Problem:
    """What is learned from.

    Attributes:
        features: of every picture.
        labels: integer `(pictures,)`, numbers in `present`.
        present: integer, the classes that have pictures, in order.
        folds: see `headstart.training.cross_validation.assign_folds`.
        seed: decides whatever is drawn.
    """

    features: Features
    labels: np.ndarray
    present: np.ndarray
    folds: np.ndarray
    seed: int

    @classmethod
    def of(cls, features: Features, labels: np.ndarray, seed: int, groups: Sequence[str] | None = None) -> "Problem":
        """Number the classes that occur without gaps, and assign the folds."""
        present, numbered = np.unique(labels, return_inverse=True)
        return cls(features, numbered, present, assign_folds(numbered, seed, groups), seed)

    def sample(self, count: int) -> "Problem":
        """So many rows at most, of every class its share, in memory, and each in the fold that it was in."""
        rows = np.arange(len(self.labels))
        if len(rows) <= count and isinstance(self.features, InMemory):
            return self
        if len(rows) > count:
            rows = by_class(self.labels, self.seed)[np.linspace(0, len(rows) - 1, count).astype(int)]
        features = InMemory(self.features.read(rows))
        return Problem(features, self.labels[rows], self.present, self.folds[rows], self.seed)

    def draw(self, rows: np.ndarray, count: int) -> np.ndarray:
        """So many of these rows at most, at random."""
        return np.random.default_rng(self.seed).permutation(rows)[:count]


@dataclass(frozen=True)
class Choice:
    """What cross-validation chose.

    Attributes:
        penalty: the best one.
        estimate: what it is worth.
        gamma: of a kernel head.
        tried: log loss of everything that was tried; empty where nothing could be held out.
    """

    penalty: float
    estimate: Estimate
    gamma: float = 0.0
    tried: dict[float, float] = field(default_factory=dict)


def choose(penalties: Sequence[float], estimates: Sequence[Estimate], classes: int, gamma: float = 0.0) -> Choice:
    """The penalty with the lowest log loss; the middle one where nothing could be held out."""
    if not estimates:
        return Choice(penalties[len(penalties) // 2], nothing_estimated(classes), gamma)
    tried = {penalty: estimate.loss for penalty, estimate in zip(penalties, estimates, strict=True)}
    best = min(range(len(estimates)), key=lambda index: estimates[index].loss)
    return Choice(penalties[best], estimates[best], gamma, tried)


def classifier(
    solution: Solution, estimate: Estimate, present: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores scaled to logits, with columns for classes without pictures.

    Logits of the classes that are present sum to zero for every picture, so the largest is never below zero, and a
    constant far below that is a probability of next to nothing, whatever the picture.
    """
    kernel = np.zeros((len(solution.kernel), classes), np.float32)
    bias = np.full(classes, _ABSENT, np.float32)
    kernel[:, present] = solution.kernel * np.float32(estimate.scale)
    bias[present] = solution.bias * np.float32(estimate.scale) + estimate.bias
    return kernel, bias
