"""The best head of each kind by cross-validation, on a sample that is in memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from headstart.progress import Advance
from headstart.training.choice import Choice, Problem, choose
from headstart.training.cross_validation import FOLDS, Part, clearly_better, cross_validate
from headstart.training.kernel import TYPICAL, Nystroem, Radial, radial, typical_gamma, unit_length
from headstart.training.linear import Standardised
from headstart.training.ridge import Dual, Normal, Primal, Solution, Sums
from headstart.training.rows import in_pieces, on_threads

LINEAR_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-1, 3, 0.5))
"""Penalties tried for a linear head, for each standardised feature."""

KERNEL_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-2, 0.5, 0.5))
"""Penalties tried for a kernel head."""

GAMMA_FACTORS = (0.25, 0.7, 2.0, 6.0)
"""Values tried for gamma, in units of the inverse of the median squared distance between pictures."""

LINEAR_STEPS = FOLDS
KERNEL_STEPS = FOLDS * (len(GAMMA_FACTORS) + 1)

_COARSE_PENALTIES = KERNEL_PENALTIES[::2]  # enough to tell values of gamma apart
_SEARCH_ROWS = 1500  # with all of them as landmarks, the best gamma is already where it is with more
_FEW_LANDMARKS = 1000  # with fewer, that gamma would be too narrow: it is searched with so many
_SEARCH_ROWS_FOR_FEW = 4000
_PIECE = 1024  # rows of a block: enough for products to be quick, and no more than that in memory

_PARTITIONS = (((0, 1), (2, 3, 4)), ((0, 1), (2, 3), (4,)))
"""Folds that share their landmarks, which are drawn from the other ones."""


@dataclass(frozen=True)
class Candidate:
    """A kind of head with what was chosen for it.

    Attributes:
        choice: what was chosen.
        penalty: the chosen one, as it stands in the problem of least squares.
        basis: what the head works on.
        parts: solve without each fold; made anew, since they take room.
    """

    choice: Choice
    penalty: float
    basis: Standardised | Radial
    parts: Callable[[], Iterable[Part]]

    def fit(self, problem: Problem) -> Solution:
        """The solution for all pictures, on features as they are or on plain radial basis functions.

        All pictures are gone through once, a few at a time.
        """
        rows, classes = np.arange(len(problem.labels)), len(problem.present)
        if len(rows) <= self.basis.width:
            columns = self.basis.columns(problem.features.read(rows))
            products = columns if isinstance(self.basis, Radial) else columns @ columns.T
            dual = Dual(products, columns, problem.labels, classes, problem.folds)
            return self.basis.plain(dual.solve(self.penalty))
        basis = Nystroem.at(self.basis) if isinstance(self.basis, Radial) else self.basis

        def sum_up(piece: tuple[np.ndarray, np.ndarray]) -> Sums:
            features, labels = piece
            return Sums.of(basis.columns(features), labels, classes)

        pieces = in_pieces(rows, _PIECE)
        sums = Sums.together(on_threads(sum_up, ((problem.features.read(r), problem.labels[r]) for r in pieces)))
        return basis.plain(Normal.of(sums).solve(self.penalty))


def linear_candidate(problem: Problem, advance: Advance) -> Candidate:
    """Choose the penalty of a linear head.

    The features are standardised alike in all folds: nothing of a label is in that.

    Args:
        problem: a sample in memory.
        advance: told of every fold.
    """
    features, labels, classes = problem.features, problem.labels, len(problem.present)
    basis = Standardised.on(features)

    def parts() -> Iterator[Part]:
        if len(labels) <= basis.width:
            columns = basis.columns(features.read(np.arange(len(labels))))
            squares: Primal | Dual = Dual(columns @ columns.T, columns, labels, classes, problem.folds)
        else:
            squares = Primal.of(lambda rows: basis.columns(features.read(rows)), labels, classes, problem.folds)
        yield Part(basis, squares, tuple(range(FOLDS)))

    penalties = [penalty * basis.width for penalty in LINEAR_PENALTIES]
    estimates = cross_validate(parts(), penalties, labels, problem.folds, advance)
    choice = choose(LINEAR_PENALTIES, estimates, classes)
    return Candidate(choice, choice.penalty * basis.width, basis, parts)


def kernel_candidate(problem: Problem, landmarks: int, advance: Advance) -> Candidate:
    """Choose gamma on few pictures, then the penalty with all of them.

    Args:
        problem: a sample in memory.
        landmarks: how many there are at most.
        advance: told of every fold, at most `KERNEL_STEPS`.
    """
    found, tried = _search_gamma(problem, landmarks, advance)
    middle = KERNEL_PENALTIES.index(found.penalty)
    near = KERNEL_PENALTIES[max(0, middle - 1) : middle + 2]

    def parts() -> Iterator[Part]:
        return (held.part(found.gamma) for held in _held_together(problem, landmarks))

    estimates = cross_validate(parts(), near, problem.labels, problem.folds, advance)
    choice = replace(choose(near, estimates, len(problem.present), found.gamma), tried=tried)
    everything = np.arange(len(problem.labels))
    drawn = problem.draw(everything, landmarks) if landmarks < len(everything) else everything
    basis = Radial(unit_length(problem.features.read(drawn)), found.gamma)
    return Candidate(choice, choice.penalty, basis, parts)


def _search_gamma(problem: Problem, landmarks: int, advance: Advance) -> tuple[Choice, dict[float, float]]:
    """The best gamma with the loss of each, from the widest function to narrower ones until it is certainly worse."""
    is_few = landmarks < _FEW_LANDMARKS
    sample = problem.sample(_SEARCH_ROWS_FOR_FEW if is_few else _SEARCH_ROWS)
    together = list(_held_together(sample, landmarks if is_few else len(sample.labels)))
    typical = sample.features.read(sample.draw(np.arange(len(sample.labels)), TYPICAL))
    base, choices = typical_gamma(unit_length(typical)), list[Choice]()
    for factor in GAMMA_FACTORS:
        parts = (held.part(base * factor) for held in together)
        estimates = cross_validate(parts, _COARSE_PENALTIES, sample.labels, sample.folds, advance)
        choices.append(choose(_COARSE_PENALTIES, estimates, len(sample.present), base * factor))
        best = min(choices, key=lambda choice: choice.estimate.loss)
        if clearly_better(best.estimate, choices[-1].estimate, errors=2):
            break
    return best, {choice.gamma: choice.estimate.loss for choice in choices if choice.tried}


@dataclass(frozen=True)
class _HeldTogether:
    """Folds that are held out, one by one, from fits on the same landmarks.

    Attributes:
        problem: the pictures.
        landmarks: float32 `(landmarks, width)`, of unit length.
        folds: which.
    """

    problem: Problem
    landmarks: np.ndarray
    folds: tuple[int, ...]

    @cached_property
    def cosines(self) -> np.ndarray:
        """Float32 `(pictures, landmarks)`: the same whatever gamma."""
        features, pieces = self.problem.features, in_pieces(np.arange(len(self.problem.labels)), _PIECE)
        found = on_threads(lambda rows: unit_length(features.read(rows)) @ self.landmarks.T, pieces)
        return np.concatenate(list(found))

    def part(self, gamma: float) -> Part:
        """The problem of least squares that belongs to a gamma."""
        labels, classes, folds = self.problem.labels, len(self.problem.present), self.problem.folds
        functions = Radial(self.landmarks, gamma)
        if len(self.landmarks) == len(labels):
            kernel = radial(self.cosines.copy(), gamma)
            return Part(functions, Dual(kernel, kernel, labels, classes, folds), self.folds)
        basis = Nystroem.at(functions)
        folds = np.where(np.isin(folds, self.folds), folds, -1)
        squares = Primal.of(lambda rows: basis.whiten(radial(self.cosines[rows], gamma)), labels, classes, folds)
        return Part(basis, squares, self.folds)


def _held_together(problem: Problem, landmarks: int) -> Iterator[_HeldTogether]:
    """Folds in two or three lots, each with landmarks from the folds of the other ones.

    If a landmark were held out, so many fewer would be of use to the fit. Where there are nearly as many landmarks as
    pictures, all pictures are landmarks in all folds: then those held out have no part in the solution.
    """
    count = len(problem.labels)
    everything = np.arange(count)
    if landmarks > 0.6 * count:
        yield _HeldTogether(problem, unit_length(problem.features.read(everything)), tuple(range(FOLDS)))
        return
    for folds in _PARTITIONS[landmarks > 0.4 * count]:
        drawn = problem.draw(np.flatnonzero(~np.isin(problem.folds, folds)), landmarks)
        yield _HeldTogether(problem, unit_length(problem.features.read(drawn)), folds)
