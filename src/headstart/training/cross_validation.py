"""What a choice is worth, estimated on the training pictures alone: folds, held-out scores, their temperature.

Every picture is scored once by a head that has not seen it. All heads are compared on the same folds, picture by
picture, so that what is hard for every head does not blur the difference between them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from headstart.progress import Advance
from headstart.training.ridge import Basis, Dual, Primal
from headstart.training.rows import on_threads

FOLDS = 5

USUAL_SCALE = 8.0
"""Of scores that cannot be checked on pictures held out; 7 to 10 is what fits on real pictures."""

_SCALES = (0.0, 100.0)


@dataclass(frozen=True)
class Estimate:
    """How one choice does on pictures that it was not fitted on.

    Attributes:
        losses: float32 `(pictures,)`, log loss of each held-out picture, in nats; empty where there were too few
            pictures to hold any out.
        hits: bool `(pictures,)`, whether the most probable class was the true one.
        scale: what scores are multiplied with before the softmax, the inverse of a temperature.
        bias: float32 `(classes,)`, what is added then; sums to zero.
    """

    losses: np.ndarray
    hits: np.ndarray
    scale: float
    bias: np.ndarray

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, classes)` of scores of the same shape."""
        return _logits(scores, self.scale, self.bias)

    @property
    def loss(self) -> float:
        """Mean log loss."""
        return _mean(self.losses)

    @property
    def loss_error(self) -> float:
        """Standard error of `loss`."""
        return standard_error(self.losses)

    @property
    def accuracy(self) -> float:
        """Share of pictures that were classified rightly."""
        return _mean(self.hits)

    @property
    def accuracy_error(self) -> float:
        """Standard error of `accuracy`."""
        return standard_error(self.hits)


@dataclass(frozen=True)
class Part:
    """A problem of least squares that is solved without each of some folds.

    Attributes:
        basis: makes its columns from features.
        squares: the problem.
        folds: which.
    """

    basis: Basis
    squares: Primal | Dual
    folds: tuple[int, ...]

    def score(self, fit: tuple[int, float]) -> np.ndarray:
        """Scores of the pictures in a fold by a fit on the others with a penalty, float32 `(pictures, classes)`."""
        fold, penalty = fit
        return self.squares.solve(penalty, fold).scores(self.squares.held(fold))


def assign_folds(labels: np.ndarray, seed: int, groups: Sequence[str] | np.ndarray | None = None) -> np.ndarray:
    """Deal the pictures of each class out to the folds, in random order, or the groups of them.

    Args:
        labels: integer `(pictures,)`.
        seed: decides the order.
        groups: of each picture, the group that must not be divided; None where there are none.

    Returns:
        Integer `(pictures,)`, the fold in which each picture is held out. Pictures of a class that are all in one fold
        are never held out, since nothing could be learned of their class: their fold is -1.
    """
    if groups is None:
        first, unit = np.arange(len(labels)), np.arange(len(labels))
    else:
        _, first, unit = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    of_unit = labels[first]
    counts = np.bincount(of_unit, minlength=labels.max(initial=0) + 1)
    order = by_class(of_unit, seed)
    order = order[counts[of_unit[order]] > 1]
    dealt = np.full(len(first), -1)
    dealt[order] = np.arange(len(order)) % FOLDS
    folds = dealt[unit]
    lowest, highest = np.full(len(counts), FOLDS), np.full(len(counts), -1)
    np.minimum.at(lowest, labels, folds)
    np.maximum.at(highest, labels, folds)
    return np.where(lowest[labels] == highest[labels], -1, folds)


def by_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers, class by class, in random order within each."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def cross_validate(
    parts: Iterable[Part], penalties: Sequence[float], labels: np.ndarray, folds: np.ndarray, advance: Advance
) -> list[Estimate]:
    """Estimate what each penalty is worth.

    Args:
        parts: together they have all folds; one after the other is in memory.
        penalties: those to try.
        labels: integer `(pictures,)`.
        folds: see `assign_folds`.
        advance: told of every fold.

    Returns:
        One estimate for each penalty; none where nothing can be held out.
    """
    present = [fold for fold in range(FOLDS) if np.any(folds == fold)]
    if not present:
        return []
    by_fold: dict[int, list[np.ndarray]] = {}
    for part in parts:
        held = [fold for fold in part.folds if fold in present]
        scores = on_threads(part.score, [(fold, penalty) for fold in held for penalty in penalties])
        for fold in held:
            by_fold[fold] = [next(scores) for _ in penalties]
            advance(1)
    truth = np.concatenate([labels[folds == fold] for fold in present])
    by_penalty = [np.concatenate(scores) for scores in zip(*(by_fold[fold] for fold in present), strict=True)]
    return list(on_threads(lambda scores: estimate(scores, truth), by_penalty))


def estimate(scores: np.ndarray, labels: np.ndarray) -> Estimate:
    """Turn held-out scores into logits, and count.

    Temperature scaling with a bias for each class (Guo et al., On Calibration of Modern Neural Networks, ICML 2017;
    Alexandari et al., ICML 2020), against labels that are smoothed by one picture's worth (Platt, Probabilistic
    Outputs for Support Vector Machines, 1999): a handful of pictures, all of them right, are no reason for certainty.
    Biases have a standard normal prior, so that they stay small where pictures are few.

    Args:
        scores: float32 `(pictures, classes)`.
        labels: integer `(pictures,)`.
    """
    count, classes = scores.shape
    targets = np.full((count, classes), 1 / (count + 2) / classes, np.float32)
    targets[np.arange(count), labels] += np.float32(1 - 1 / (count + 2))
    # The part of the loss that is linear in scale and bias, computed once.
    by_scale, by_bias = float(np.vdot(targets, scores)), targets.sum(axis=0, dtype=np.float64)

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = parameters[0], parameters[1:]
        said, normaliser = _softmax(_logits(scores, scale, bias))
        loss = bias @ bias / 2 + normaliser.sum(dtype=np.float64) - scale * by_scale - bias @ by_bias
        by_class = said.sum(axis=0, dtype=np.float64) - by_bias + bias
        return float(loss / count), np.concatenate([[np.vdot(said, scores) - by_scale], by_class]) / count

    start = np.concatenate([[USUAL_SCALE], np.zeros(classes)])
    limits = [_SCALES] + [(None, None)] * classes
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=limits, options={"gtol": 1e-4})
    scale, bias = float(found.x[0]), found.x[1:] - found.x[1:].mean()
    logits = _logits(scores, scale, bias)
    right = logits[np.arange(count), labels]
    hits = logits.argmax(axis=1) == labels
    return Estimate(_softmax(logits)[1] - right, hits, scale, bias.astype(np.float32))


def nothing_estimated(classes: int) -> Estimate:
    """What stands for an estimate where no picture could be held out."""
    return Estimate(np.zeros(0, np.float32), np.zeros(0, bool), USUAL_SCALE, np.zeros(classes, np.float32))


def clearly_better(one: Estimate, other: Estimate, errors: float = 1.0) -> bool:
    """Whether one choice has a lower log loss than the other by more than so many standard errors of the difference."""
    gains = other.losses - one.losses
    return len(gains) > 1 and _mean(gains) > errors * standard_error(gains)


def standard_error(values: np.ndarray) -> float:
    """Standard error of a mean; not a number where there are fewer than two values."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _logits(scores: np.ndarray, scale: float, bias: np.ndarray) -> np.ndarray:
    logits = scores * np.float32(scale)
    logits += bias.astype(np.float32)
    return np.asarray(logits)


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, in the memory of the logits, and the logarithm of what they were divided by."""
    highest = logits.max(axis=1)
    logits -= highest[:, None]
    np.exp(logits, out=logits)
    total = logits.sum(axis=1)
    logits /= total[:, None]
    return logits, highest + np.log(total)
