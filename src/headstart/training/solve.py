"""A head on kept features is a convex problem, so it is solved: no epochs, no learning rate.

A linear head works on features, a kernel head on radial basis functions of them; both are solved in closed form.
What is chosen (regularisation, width of the kernel, which of the two heads) is chosen by cross-validation on a sample
of the training pictures alone, so that the validation pictures stay clean. Then the head is fitted on all of them,
a few at a time, so that memory does not depend on how many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from headstart.progress import Advance
from headstart.training.candidates import (
    KERNEL_STEPS,
    LINEAR_STEPS,
    Candidate,
    kernel_candidate,
    linear_candidate,
)
from headstart.training.choice import Problem, classifier
from headstart.training.cross_validation import Estimate, clearly_better
from headstart.training.kernel import Radial, in_balance
from headstart.training.rows import Features, InMemory, in_pieces

STEPS = {"linear": LINEAR_STEPS + 1, "kernel": KERNEL_STEPS + 1, "auto": LINEAR_STEPS + KERNEL_STEPS + 1}
"""How many folds are fitted at most for each kind of head, and the head itself: what `advance` is told of."""

_SAMPLE = 10_000  # pictures; beyond that, the choices that cross-validation makes of them hardly change
_AUDIT_LANDMARKS = 2000  # with 1,000, what it says of flowers is worse by a twentieth of the log loss


@dataclass(frozen=True)
class LinearHead:
    """A solved linear head: `softmax(features @ kernel + bias)`.

    Attributes:
        kernel: float32 `(width, classes)`.
        bias: float32 `(classes,)`.
        penalty: the one that was chosen.
        estimate: what cross-validation says of it.
        tried: log loss for each penalty; empty where there were too few pictures.
    """

    kernel: np.ndarray
    bias: np.ndarray
    penalty: float
    estimate: Estimate
    tried: dict[float, float]


@dataclass(frozen=True)
class KernelHead:
    """A solved kernel head: `UnitNormalization`, `Dense(landmarks, "exponential")`, `Dense(classes, "softmax")`.

    Attributes:
        landmark_kernel: float32 `(width, landmarks)`.
        landmark_bias: float32 `(landmarks,)`.
        kernel: float32 `(landmarks, classes)`.
        bias: float32 `(classes,)`.
        gamma: of the radial basis function, the one that was chosen.
        penalty: the one that was chosen.
        estimate: what cross-validation says of it.
        tried: the lowest log loss over penalties for each gamma; empty where there were too few pictures.
    """

    landmark_kernel: np.ndarray
    landmark_bias: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    gamma: float
    penalty: float
    estimate: Estimate
    tried: dict[float, float]


@dataclass(frozen=True)
class BestHead:
    """The better of two heads.

    Attributes:
        chosen: the kernel head if its cross-validated log loss is lower than the linear one's by more than the
            standard error of the difference, picture by picture; else the simpler one.
        linear: estimate for the linear head.
        kernel: estimate for the kernel head.
    """

    chosen: LinearHead | KernelHead
    linear: Estimate
    kernel: Estimate


def solve_linear(
    features: Features,
    labels: np.ndarray,
    classes: int,
    seed: int,
    advance: Advance = lambda count: None,
    groups: Sequence[str] | None = None,
) -> LinearHead:
    """Solve for the best linear head.

    Args:
        features: of every picture.
        labels: integer `(pictures,)`, class numbers below `classes`; a class without pictures gets a probability
            near zero.
        classes: how many classes there are.
        seed: decides the folds.
        advance: told of every fold and of the end, at most `STEPS["linear"]`.
        groups: of each picture, the group that must not be divided over folds; None where there are none.
    """
    with threadpool_limits(1):  # threads over folds pay; inside a product of this size they cost more than they save
        problem = Problem.of(features, labels, seed, groups)
        return _linear_head(linear_candidate(problem.sample(_SAMPLE), advance), problem, classes, advance)


def solve_kernel(
    features: Features,
    labels: np.ndarray,
    classes: int,
    landmarks: int,
    seed: int,
    advance: Advance = lambda count: None,
    groups: Sequence[str] | None = None,
) -> KernelHead:
    """Solve for the best kernel head.

    Args:
        features: of every picture.
        labels: integer `(pictures,)`, class numbers below `classes`; a class without pictures gets a probability
            near zero.
        classes: how many classes there are.
        landmarks: how many there are at most; there are never more than pictures.
        seed: decides the folds and the landmarks.
        advance: told of every fold and of the end, at most `STEPS["kernel"]`.
        groups: of each picture, the group that must not be divided over folds; None where there are none.
    """
    with threadpool_limits(1):
        problem = Problem.of(features, labels, seed, groups)
        return _kernel_head(kernel_candidate(problem.sample(_SAMPLE), landmarks, advance), problem, classes, advance)


def solve_best(
    features: Features,
    labels: np.ndarray,
    classes: int,
    landmarks: int,
    seed: int,
    advance: Advance = lambda count: None,
    groups: Sequence[str] | None = None,
) -> BestHead:
    """Solve for the better of a linear and a kernel head; arguments as for `solve_kernel`.

    Log loss decides and not accuracy: it tells heads apart with fewer pictures, since it counts by how much each one
    is right or wrong.
    """
    with threadpool_limits(1):
        problem = Problem.of(features, labels, seed, groups)
        sample = problem.sample(_SAMPLE)
        linear = linear_candidate(sample, advance)
        kernel = kernel_candidate(sample, landmarks, advance)
        chosen: LinearHead | KernelHead
        if clearly_better(kernel.choice.estimate, linear.choice.estimate):
            chosen = _kernel_head(kernel, problem, classes, advance)
        else:
            chosen = _linear_head(linear, problem, classes, advance)
    return BestHead(chosen, linear.choice.estimate, kernel.choice.estimate)


def held_out_probabilities(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int, advance: Advance = lambda count: None
) -> np.ndarray:
    """What the better of a linear and a kernel head says of each picture when it is not among those it learned from.

    Heads are chosen and fitted on a sample of the pictures, every class its share.

    Args:
        features: float16 or float32 `(pictures, width)`.
        labels: integer `(pictures,)`, every number from 0 on at least once.
        folds: integer `(pictures,)`, the fold in which each picture is held out; -1 for those that are only learned
            from.
        seed: decides whatever is drawn.
        advance: told of every fold, at most `STEPS["auto"] + FOLDS`.

    Returns:
        float32 `(pictures, classes)`; rows sum to one, and are zero for pictures that are not held out.
    """
    present = np.arange(labels.max() + 1)
    everything = InMemory(features)
    found = np.zeros((len(labels), len(present)), np.float32)
    with threadpool_limits(1):
        sample = Problem(everything, labels, present, folds, seed).sample(_SAMPLE)
        linear = linear_candidate(sample, advance)
        kernel = kernel_candidate(sample, _AUDIT_LANDMARKS, advance)
        chosen = kernel if clearly_better(kernel.choice.estimate, linear.choice.estimate) else linear
        for part in chosen.parts():
            for fold in part.folds:
                solution = part.squares.solve(chosen.penalty, fold)
                for rows in in_pieces(np.flatnonzero(folds == fold)):
                    scores = solution.scores(part.basis.columns(everything.read(rows)))
                    found[rows] = softmax(chosen.choice.estimate.logits(scores), axis=1)
                advance(1)
    return found


def single_unit(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sigmoid unit that gives what a softmax over two classes gives for the second one.

    Args:
        kernel: float32 `(columns, 2)`.
        bias: float32 `(2,)`.

    Returns:
        Kernel `(columns, 1)` and bias `(1,)`.
    """
    return kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]


def _linear_head(found: Candidate, problem: Problem, classes: int, advance: Advance) -> LinearHead:
    choice = found.choice
    kernel, bias = classifier(found.fit(problem), choice.estimate, problem.present, classes)
    advance(1)
    return LinearHead(kernel, bias, choice.penalty, choice.estimate, choice.tried)


def _kernel_head(found: Candidate, problem: Problem, classes: int, advance: Advance) -> KernelHead:
    choice, basis = found.choice, found.basis
    assert isinstance(basis, Radial)
    kernel, bias = classifier(found.fit(problem), choice.estimate, problem.present, classes)
    order = in_balance(basis, kernel)
    advance(1)
    return KernelHead(
        landmark_kernel=np.float32(2 * choice.gamma) * basis.landmarks[order].T,
        landmark_bias=np.full(len(order), -2 * choice.gamma, np.float32),
        kernel=kernel[order],
        bias=bias,
        gamma=choice.gamma,
        penalty=choice.penalty,
        estimate=choice.estimate,
        tried=choice.tried,
    )
