"""A head on kept features is a convex problem, so it is solved: no epochs, no learning rate.

A linear head works on features, a kernel head on radial basis functions of them; both are solved in closed form.
What is chosen (regularisation, width of the kernel, which of the two heads) is chosen by cross-validation on the
training pictures alone, so that the validation pictures stay clean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from headstart.progress import Advance
from headstart.training.choice import Choice, Problem, choose, classifier
from headstart.training.cross_validation import FOLDS, Estimate, clearly_better, cross_validate
from headstart.training.kernel import Nystroem, typical_gamma, unit_length
from headstart.training.ridge import Solution, ridge

LINEAR_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-1, 3, 0.5))
"""Penalties tried for a linear head, for each standardised feature."""

KERNEL_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-2, 0.5, 0.5))
"""Penalties tried for a kernel head."""

GAMMA_FACTORS = (0.25, 0.7, 2.0, 6.0)
"""Values tried for gamma, in units of the inverse of the median squared distance between pictures."""

STEPS = {"linear": FOLDS, "kernel": FOLDS * (len(GAMMA_FACTORS) + 1), "auto": FOLDS * (len(GAMMA_FACTORS) + 2)}
"""How many folds are fitted at most for each kind of head: what `advance` is told of, one by one."""

_SEARCH_LANDMARKS = 1000  # with so many, the best gamma is already where it is with more
_SEARCH_ROWS = 4000
_FITTED_ROWS = 10_000


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
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seed: int,
    advance: Advance = lambda count: None,
    groups: Sequence[str] | None = None,
) -> LinearHead:
    """Solve for the best linear head.

    Args:
        features: float32 `(pictures, width)`.
        labels: integer `(pictures,)`, class numbers below `classes`; a class without pictures gets a probability
            near zero.
        classes: how many classes there are.
        seed: decides the folds.
        advance: told of every fold, at most `STEPS["linear"]`.
        groups: of each picture, the group that must not be divided over folds; None where there are none.
    """
    with threadpool_limits(1):  # threads over folds pay; inside a product of this size they cost more than they save
        problem = Problem.of(features, labels, seed, groups)
        choice = _cross_validate_linear(problem, advance)
        return _finish_linear(problem, choice, classes)


def solve_kernel(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    landmarks: int,
    seed: int,
    advance: Advance = lambda count: None,
    groups: Sequence[str] | None = None,
) -> KernelHead:
    """Solve for the best kernel head.

    Args:
        features: float32 `(pictures, width)`.
        labels: integer `(pictures,)`, class numbers below `classes`; a class without pictures gets a probability
            near zero.
        classes: how many classes there are.
        landmarks: how many there are at most; there are never more than pictures.
        seed: decides the folds and the landmarks.
        advance: told of every fold, at most `STEPS["kernel"]`.
        groups: of each picture, the group that must not be divided over folds; None where there are none.
    """
    with threadpool_limits(1):
        problem = Problem.of(unit_length(features), labels, seed, groups)
        choice = _cross_validate_kernel(problem, landmarks, advance)
        return _finish_kernel(problem, choice, classes, landmarks)


def solve_best(
    features: np.ndarray,
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
        plain = Problem.of(features, labels, seed, groups)
        units = Problem.of(unit_length(features), labels, seed, groups)
        linear = _cross_validate_linear(plain, advance)
        kernel = _cross_validate_kernel(units, landmarks, advance)
        if clearly_better(kernel.estimate, linear.estimate):
            chosen: LinearHead | KernelHead = _finish_kernel(units, kernel, classes, landmarks)
        else:
            chosen = _finish_linear(plain, linear, classes)
    return BestHead(chosen, linear.estimate, kernel.estimate)


def held_out_probabilities(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seed: int, advance: Advance = lambda count: None
) -> np.ndarray:
    """What the better of a linear and a kernel head says of each picture when it is not among those it learned from.

    Heads are chosen and fitted on so many pictures at most as fit into memory beside the features, every class its
    share.

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
    found = np.zeros((len(labels), len(present)), np.float32)
    with threadpool_limits(1):
        plain = Problem(features, labels, present, folds, seed).sample(_FITTED_ROWS)
        plain = replace(plain, features=np.asarray(plain.features, np.float32))
        units = replace(plain, features=unit_length(plain.features))
        linear = _cross_validate_linear(plain, advance)
        kernel = _cross_validate_kernel(units, _SEARCH_LANDMARKS, advance)
        is_kernel = clearly_better(kernel.estimate, linear.estimate)
        problem, choice = (units, kernel) if is_kernel else (plain, linear)
        for fold in np.unique(folds[folds >= 0]):
            fit = problem.features[problem.folds != fold], problem.labels[problem.folds != fold]
            score = _scorer(choice, len(present), _SEARCH_LANDMARKS, seed)(*fit)
            for rows in in_pieces(np.flatnonzero(folds == fold)):
                held = np.asarray(features[rows], np.float32)
                found[rows] = softmax(choice.estimate.logits(score(unit_length(held) if is_kernel else held)), axis=1)
            advance(1)
    return found


def _scorer(choice: Choice, classes: int, landmarks: int, seed: int) -> Callable[..., Callable[..., np.ndarray]]:
    """Fits the head that was chosen, and gives what scores features."""

    def fit_linear(fit: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        mean, deviation = _standardisation(fit)
        (solution,) = ridge((fit - mean) / deviation, labels, classes, [choice.penalty * fit.shape[1]])
        return lambda held: solution.scores((held - mean) / deviation)

    def fit_kernel(fit: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        basis = Nystroem.at(_draw(fit, landmarks, seed), choice.gamma)
        (solution,) = ridge(basis.columns(fit), labels, classes, [choice.penalty])
        return lambda held: solution.scores(basis.columns(held))

    return fit_kernel if choice.gamma else fit_linear


def in_pieces(rows: np.ndarray, size: int = 4096) -> list[np.ndarray]:
    """Row numbers in pieces, so that what is computed of them need not be in memory at once."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def single_unit(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sigmoid unit that gives what a softmax over two classes gives for the second one.

    Args:
        kernel: float32 `(columns, 2)`.
        bias: float32 `(2,)`.

    Returns:
        Kernel `(columns, 1)` and bias `(1,)`.
    """
    return kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]


def _cross_validate_linear(problem: Problem, advance: Advance) -> Choice:
    classes = len(problem.present)

    def scorer(fit: np.ndarray, labels: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        mean, deviation = _standardisation(fit)
        penalties = [penalty * fit.shape[1] for penalty in LINEAR_PENALTIES]
        solutions = ridge((fit - mean) / deviation, labels, classes, penalties)
        columns = (held - mean) / deviation
        return [solution.scores(columns) for solution in solutions]

    estimates = cross_validate(scorer, problem.features, problem.labels, problem.folds, advance)
    return choose(LINEAR_PENALTIES, estimates, classes)


def _finish_linear(problem: Problem, choice: Choice, classes: int) -> LinearHead:
    mean, deviation = _standardisation(problem.features)
    columns = (problem.features - mean) / deviation
    penalty = choice.penalty * problem.features.shape[1]
    (solution,) = ridge(columns, problem.labels, len(problem.present), [penalty])
    kernel = solution.kernel / deviation[:, None]
    solution = Solution(kernel, solution.bias - mean @ kernel)
    kernel, bias = classifier(solution, choice.estimate, problem.present, classes)
    return LinearHead(kernel, bias, choice.penalty, choice.estimate, choice.tried)


def _standardisation(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    # What varies by less than a thousandth of what the others do is rounding; blown up, it would drown the rest.
    deviation[deviation <= 1e-3 * deviation.max()] = np.inf
    return mean.astype(np.float32), deviation.astype(np.float32)


def _cross_validate_kernel(problem: Problem, landmarks: int, advance: Advance) -> Choice:
    """Gamma with few landmarks and pictures, then the penalty with all of them."""
    sample, few = problem.sample(_SEARCH_ROWS), min(landmarks, _SEARCH_LANDMARKS)
    choices = _try_gammas(sample, few, advance)
    best = min(choices, key=lambda choice: choice.estimate.loss)
    tried = {choice.gamma: choice.estimate.loss for choice in choices if choice.tried}
    if few < min(landmarks, len(problem.labels)) or sample is not problem:
        middle = KERNEL_PENALTIES.index(best.penalty)
        near = KERNEL_PENALTIES[max(0, middle - 1) : middle + 2]
        best = _try_gamma(problem, landmarks, best.gamma, near, advance)
    return Choice(best.penalty, best.estimate, best.gamma, tried)


def _try_gammas(problem: Problem, landmarks: int, advance: Advance) -> list[Choice]:
    """From the widest function to narrower ones, until they are certainly getting worse."""
    base, choices = typical_gamma(problem.features, problem.seed), list[Choice]()
    for factor in GAMMA_FACTORS:
        choices.append(_try_gamma(problem, landmarks, base * factor, KERNEL_PENALTIES, advance))
        best = min(choices, key=lambda choice: choice.estimate.loss)
        if clearly_better(best.estimate, choices[-1].estimate, errors=2):
            break
    return choices


def _try_gamma(problem: Problem, landmarks: int, gamma: float, penalties: Sequence[float], advance: Advance) -> Choice:
    classes = len(problem.present)

    def scorer(fit: np.ndarray, labels: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        basis = Nystroem.at(_draw(fit, landmarks, problem.seed), gamma)
        solutions = ridge(basis.columns(fit), labels, classes, penalties)
        columns = basis.columns(held)
        return [solution.scores(columns) for solution in solutions]

    estimates = cross_validate(scorer, problem.features, problem.labels, problem.folds, advance)
    return choose(penalties, estimates, classes, gamma)


def _finish_kernel(problem: Problem, choice: Choice, classes: int, landmarks: int) -> KernelHead:
    basis = Nystroem.at(_draw(problem.features, landmarks, problem.seed), choice.gamma)
    columns = basis.columns(problem.features)
    (solution,) = ridge(columns, problem.labels, len(problem.present), [choice.penalty])
    solution = Solution(basis.onto_landmarks(solution.kernel), solution.bias)
    kernel, bias = classifier(solution, choice.estimate, problem.present, classes)
    return KernelHead(
        landmark_kernel=np.float32(2 * choice.gamma) * basis.landmarks.T,
        landmark_bias=np.full(len(basis.landmarks), -2 * choice.gamma, np.float32),
        kernel=kernel,
        bias=bias,
        gamma=choice.gamma,
        penalty=choice.penalty,
        estimate=choice.estimate,
        tried=choice.tried,
    )


def _draw(units: np.ndarray, landmarks: int, seed: int) -> np.ndarray:
    return np.asarray(units[np.random.default_rng(seed).permutation(len(units))[:landmarks]])
