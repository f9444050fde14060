"""The best head of each kind by cross-validation, on a sample that is in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.progress import Advance
from headstart.training.choice import Choice, Problem, choose
from headstart.training.cross_validation import FOLDS, clearly_better, cross_validate
from headstart.training.kernel import TYPICAL, Nystroem, Radial, radial, typical_gamma, unit_length
from headstart.training.ridge import Dual, Normal, Primal, Solution, Sums
from headstart.training.rows import in_pieces, on_threads
from headstart.training.standardised import Standardised

LINEAR_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-1, 3, 0.5))
"""Penalties tried for a linear head, for each standardised feature."""

KERNEL_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-2, 0.5, 0.5))
"""Penalties tried for a kernel head."""

GAMMA_FACTORS = (0.25, 0.7, 2.0, 6.0)
"""Values tried for gamma, in units of the inverse of the median squared distance between pictures."""

LINEAR_STEPS = FOLDS
KERNEL_STEPS = FOLDS * (len(GAMMA_FACTORS) + 1)

SEARCH_LANDMARKS = 1000
"""With so many, the best gamma is already where it is with more."""

_SEARCH_ROWS = 4000
_PIECE = 1024  # rows of a block: enough for products to be quick, and no more than that in memory


@dataclass(frozen=True)
class Candidate:
    """A kind of head with what was chosen for it.

    Attributes:
        choice: what was chosen.
        penalty: the chosen one, as it stands in the problem of least squares.
        basis: makes the columns of that problem from features.
        squares: the problem, of the sample.
    """

    choice: Choice
    penalty: float
    basis: Standardised | Radial | Nystroem
    squares: Primal | Dual

    def solution(self, without: int | None = None) -> Solution:
        """The solution of the sample, or of what is not in a fold."""
        return self.squares.solve(self.penalty, without)

    def settled(self, problem: Problem, sample: Problem) -> "Settled":
        """With its solution, as far as there is one yet, and without the problem, which takes more room."""
        solution = self.solution() if len(sample.labels) == len(problem.labels) else None
        return Settled(self.choice, self.penalty, self.basis, solution)


@dataclass(frozen=True)
class Settled:
    """A candidate that may become the head.

    Attributes:
        choice: what was chosen.
        penalty: the chosen one, as it stands in the problem of least squares.
        basis: makes the columns of that problem from features.
        solution: the one for all pictures, if the sample was all of them.
    """

    choice: Choice
    penalty: float
    basis: Standardised | Radial | Nystroem
    solution: Solution | None

    def plain(self, problem: Problem) -> Solution:
        """The solution for all pictures, on features as they are or on plain radial basis functions.

        Unless there is one, all pictures are gone through once, a few at a time.
        """
        if self.solution is not None:
            return self.basis.plain(self.solution)
        basis = Nystroem.at(self.basis) if isinstance(self.basis, Radial) else self.basis
        classes = len(problem.present)

        def sum_up(piece: tuple[np.ndarray, np.ndarray]) -> Sums:
            features, labels = piece
            return Sums.of(basis.columns(features), labels, classes)

        pieces = (
            (problem.features.read(r), problem.labels[r]) for r in in_pieces(np.arange(len(problem.labels)), _PIECE)
        )
        sums = Sums.together(on_threads(sum_up, pieces))
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
    width = len(basis.mean)
    squares: Primal | Dual
    if len(labels) < width:
        columns = basis.columns(features.read(np.arange(len(labels))))
        squares = Dual(columns @ columns.T, columns, labels, classes, problem.folds)
    else:
        squares = Primal.of(lambda rows: basis.columns(features.read(rows)), labels, classes, problem.folds)
    penalties = [penalty * width for penalty in LINEAR_PENALTIES]
    choice = choose(LINEAR_PENALTIES, cross_validate(squares, penalties, labels, problem.folds, advance), classes)
    return Candidate(choice, choice.penalty * width, basis, squares)


def kernel_candidate(problem: Problem, landmarks: int, advance: Advance) -> Candidate:
    """Choose gamma with few landmarks and pictures, then the penalty with all of them.

    The landmarks are the same in all folds, drawn from all pictures: nothing of a label is in them.

    Args:
        problem: a sample in memory.
        landmarks: how many there are at most.
        advance: told of every fold, at most `KERNEL_STEPS`.
    """
    fewer = problem.sample(_SEARCH_ROWS)
    best, tried = _search_gamma(fewer, min(landmarks, SEARCH_LANDMARKS), advance)
    if fewer is not problem or min(landmarks, len(problem.labels)) > SEARCH_LANDMARKS:
        middle = KERNEL_PENALTIES.index(best.penalty)
        near = KERNEL_PENALTIES[max(0, middle - 1) : middle + 2]
        best = _try_gamma(_Alike.of(problem, landmarks), best.choice.gamma, near, advance)
    return replace(best, choice=replace(best.choice, tried=tried))


@dataclass(frozen=True)
class _Alike:
    """How alike pictures and landmarks are, whatever gamma.

    Attributes:
        problem: the pictures.
        landmarks: float32 `(landmarks, width)`, of unit length.
        cosines: float32 `(pictures, landmarks)`.
    """

    problem: Problem
    landmarks: np.ndarray
    cosines: np.ndarray

    @classmethod
    def of(cls, problem: Problem, landmarks: int) -> "_Alike":
        everything = np.arange(len(problem.labels))
        if landmarks < len(everything):
            drawn = unit_length(problem.draw(landmarks))
        else:
            drawn = unit_length(problem.features.read(everything))
        pieces = in_pieces(everything, _PIECE)
        cosines = on_threads(lambda rows: unit_length(problem.features.read(rows)) @ drawn.T, pieces)
        return cls(problem, drawn, np.concatenate(list(cosines)))

    def squares(self, gamma: float) -> tuple[Radial | Nystroem, Primal | Dual]:
        """The problem of least squares that belongs to a gamma, and what its columns are."""
        labels, classes, folds = self.problem.labels, len(self.problem.present), self.problem.folds
        functions = Radial(self.landmarks, gamma)
        if len(self.landmarks) == len(labels):
            kernel = radial(self.cosines.copy(), gamma)
            return functions, Dual(kernel, kernel, labels, classes, folds)
        basis = Nystroem.at(functions)
        return basis, Primal.of(lambda rows: basis.whiten(radial(self.cosines[rows], gamma)), labels, classes, folds)


def _search_gamma(problem: Problem, landmarks: int, advance: Advance) -> tuple[Candidate, dict[float, float]]:
    """The best gamma with the loss of each, from the widest function to narrower ones until it is certainly worse."""
    alike, tried = _Alike.of(problem, landmarks), dict[float, float]()
    base = typical_gamma(unit_length(problem.draw(TYPICAL)))
    best: Candidate | None = None
    for factor in GAMMA_FACTORS:
        candidate = _try_gamma(alike, base * factor, KERNEL_PENALTIES, advance)
        if candidate.choice.tried:
            tried[candidate.choice.gamma] = candidate.choice.estimate.loss
        if best is None or candidate.choice.estimate.loss < best.choice.estimate.loss:
            best = candidate
        elif clearly_better(best.choice.estimate, candidate.choice.estimate, errors=2):
            break
    assert best is not None
    return best, tried


def _try_gamma(alike: _Alike, gamma: float, penalties: Sequence[float], advance: Advance) -> Candidate:
    problem = alike.problem
    basis, squares = alike.squares(gamma)
    estimates = cross_validate(squares, penalties, problem.labels, problem.folds, advance)
    choice = choose(penalties, estimates, len(problem.present), gamma)
    return Candidate(choice, choice.penalty, basis, squares)
