"""Least squares on one-hot labels with an L2 penalty: closed form, and again without each fold for little more.

As scores for a softmax, once they are scaled by cross-validation, its predictions were at least as good here as
those of multinomial logistic regression, in a fraction of the time: docs/design/head.md has the figures.

Where there are fewer columns than pictures, sums over pictures are all that is needed (`Primal`): those without a fold
are the difference of two. Else products between pictures are (`Dual`), and a fold is left out by leaving out its rows.
Both give the same solution. Matrices are lower triangles, column by column, as BLAS and LAPACK want them: turning them
round takes longer than to use them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, get_blas_funcs
from scipy.linalg.blas import ssyrk

from headstart.training.rows import in_pieces, on_threads

_PIECE = 2048  # rows; enough for products to be quick


@dataclass(frozen=True)
class Solution:
    """Scores are `columns @ kernel + bias`; both sum to zero over the classes.

    Attributes:
        kernel: float32 `(columns, classes)`.
        bias: float32 `(classes,)`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def scores(self, columns: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, classes)` from float32 `(pictures, columns)`."""
        return np.asarray(columns @ self.kernel + self.bias)


class Basis(Protocol):
    """Makes columns from features."""

    def columns(self, features: np.ndarray) -> np.ndarray:
        """Float32 `(pictures, columns)` of float32 `(pictures, width)`."""
        ...

    def plain(self, solution: Solution) -> Solution:
        """A solution for the columns as one for what a layer of the head computes."""
        ...


@dataclass(frozen=True)
class Sums:
    """All that least squares wants to know of some pictures, in memory that does not depend on how many there are.

    Attributes:
        counts: float64 `(classes,)`, pictures of each class.
        total: float64 `(columns,)`, sum of the columns.
        gram: float32 or float64 `(columns, columns)`, sum of the products of columns; the lower triangle.
        moments: float64 `(columns, classes)`, sum of the columns for each class.
    """

    counts: np.ndarray
    total: np.ndarray
    gram: np.ndarray
    moments: np.ndarray

    @classmethod
    def of(cls, columns: np.ndarray, labels: np.ndarray, classes: int) -> "Sums":
        """Sum up.

        Args:
            columns: float32 `(pictures, columns)`, about centred: products are in 32 bits, which are half the time.
            labels: integer `(pictures,)`, below `classes`; classes may be absent.
            classes: how many there are.
        """
        targets = np.eye(classes, dtype=np.float32)[labels]
        gram = ssyrk(1.0, columns.T, lower=1)
        moments = (columns.T @ targets).astype(np.float64)
        counts = np.bincount(labels, minlength=classes).astype(np.float64)
        return cls(counts, columns.sum(axis=0, dtype=np.float64), gram, moments)

    @classmethod
    def together(cls, parts: Iterable["Sums"]) -> "Sums":
        """The sums of all parts, in 64 bits."""
        parts = iter(parts)
        first = next(parts)
        whole = cls(first.counts.copy(), first.total.copy(), first.gram.astype(np.float64), first.moments.copy())
        for part in parts:
            for mine, others in zip(whole._arrays(), part._arrays(), strict=True):
                mine += others
        return whole

    def without(self, part: "Sums") -> "Sums":
        """The sums of the other pictures, in the memory and precision of the part, which is no more after that."""
        for mine, others in zip(self._arrays(), part._arrays(), strict=True):
            np.subtract(mine, others, out=others, casting="same_kind")
        return part

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.counts, self.total, self.gram, self.moments


@dataclass(frozen=True)
class Normal:
    """Normal equations of centred columns and labels.

    Attributes:
        gram: float32 or float64 `(columns, columns)`, the lower triangle.
        moments: float64 `(columns, classes)`.
        mean: float64 `(columns,)`, of the columns.
        share: float64 `(classes,)`, of the pictures.
    """

    gram: np.ndarray
    moments: np.ndarray
    mean: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, sums: Sums) -> "Normal":
        """Centre, in the memory of the sums, which are no more after that."""
        count = sums.counts.sum()
        mean, share = sums.total / count, sums.counts / count
        syr = get_blas_funcs("syr", (sums.gram,))
        gram = syr(-count, mean.astype(sums.gram.dtype), a=sums.gram, lower=1, overwrite_a=1)
        return cls(gram, sums.moments - np.outer(sums.total, share), mean, share)

    def solve(self, penalty: float) -> Solution:
        """The least squares, with a factor of the squared norm of the kernel against the sum of squared residuals."""
        kernel = _solve(self.gram, penalty, self.moments)
        bias = self.share - 1 / len(self.share) - self.mean @ kernel
        return Solution(kernel.astype(np.float32), bias.astype(np.float32))


@dataclass(frozen=True)
class Primal:
    """Least squares where columns are fewer than pictures.

    Attributes:
        whole: of all pictures, in 64 bits.
        others: for each fold, of the pictures that are not in it, in 32 bits.
        columns: float32 `(pictures of the fold, columns)`, for each fold.
    """

    whole: Normal
    others: dict[int, Normal]
    columns: dict[int, np.ndarray]

    @classmethod
    def of(
        cls, columns: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, classes: int, folds: np.ndarray
    ) -> "Primal":
        """Sum up every fold, and leave out each of them in turn.

        Args:
            columns: gives the columns of integer `(rows,)`, float32 `(rows, columns)`, about centred.
            labels: integer `(pictures,)`, below `classes`.
            classes: how many there are.
            folds: integer `(pictures,)`; pictures in fold -1 are never left out.
        """
        held = {int(fold): np.flatnonzero(folds == fold) for fold in np.unique(folds[folds >= 0])}
        kept: dict[int, np.ndarray] = {}
        parts: dict[int, Sums] = {}

        def sum_up(piece: tuple[int, np.ndarray]) -> Sums:
            fold, rows = piece
            found = columns(rows)
            sums = Sums.of(found, labels[rows], classes)
            if fold >= 0:
                kept[fold], parts[fold] = found, sums
            return sums

        always = [(-1, rows) for rows in in_pieces(np.flatnonzero(folds < 0), _PIECE)]
        total = Sums.together(on_threads(sum_up, [*held.items(), *always]))
        others = dict(zip(held, on_threads(lambda fold: Normal.of(total.without(parts[fold])), held), strict=True))
        return cls(Normal.of(total), others, kept)

    def solve(self, penalty: float, without: int | None = None) -> Solution:
        """The solution for all pictures, or for those that are not in a fold."""
        return (self.whole if without is None else self.others.get(without, self.whole)).solve(penalty)

    def held(self, fold: int) -> np.ndarray:
        """The columns of the pictures in a fold."""
        return self.columns[fold]


@dataclass(frozen=True)
class Dual:
    """Least squares where pictures are no more than columns.

    With `G` the inverse of products plus penalty, and `[u, v] = G [Y, 1]`, the bias is `1'u / 1'v` and the weights of
    the pictures are `u - v bias`: kernel ridge regression with a bias that is not penalised.

    Attributes:
        products: float32 `(pictures, pictures)`, inner products of the columns, or a kernel.
        columns: float32 `(pictures, columns)`; the products themselves where the solution is for them.
        labels: integer `(pictures,)`, below `classes`.
        classes: how many there are.
        folds: integer `(pictures,)`; pictures in fold -1 are never left out.
    """

    products: np.ndarray
    columns: np.ndarray
    labels: np.ndarray
    classes: int
    folds: np.ndarray

    def solve(self, penalty: float, without: int | None = None) -> Solution:
        """The solution for all pictures in 64 bits, or for those that are not in a fold in 32."""
        fit = np.arange(len(self.labels)) if without is None else np.flatnonzero(self.folds != without)
        products = self.products.astype(np.float64) if len(fit) == len(self.labels) else self.products[np.ix_(fit, fit)]
        sides = np.column_stack([np.eye(self.classes)[self.labels[fit]], np.ones(len(fit))])
        found = _solve(products.T, penalty, sides)
        bias = found[:, :-1].sum(axis=0) / found[:, -1].sum()
        weights = np.zeros((len(self.labels), self.classes), np.float32)
        weights[fit] = found[:, :-1] - found[:, -1:] * bias
        kernel = weights if self.columns is self.products else self.columns.T @ weights
        return Solution(kernel, (bias - 1 / self.classes).astype(np.float32))

    def held(self, fold: int) -> np.ndarray:
        """The columns of the pictures in a fold."""
        return np.asarray(self.columns[self.folds == fold])


def _solve(matrix: np.ndarray, penalty: float, sides: np.ndarray) -> np.ndarray:
    """Add the penalty to the diagonal and solve, in the precision of the matrix where that is enough; float64."""
    kinds = [matrix.dtype.type, np.float64]
    for kind in kinds:
        penalised: np.ndarray = np.array(matrix, kind, order="F")
        np.fill_diagonal(penalised, matrix.diagonal() + kind(penalty))
        try:
            factor = cho_factor(penalised, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            if kind is np.float64:
                raise
        else:
            return np.asarray(cho_solve(factor, sides.astype(kind), overwrite_b=True, check_finite=False), np.float64)
    raise AssertionError("the last precision either solves or raises")
