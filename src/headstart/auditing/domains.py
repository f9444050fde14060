"""Whether two lots of pictures can be told apart by their features: a domain classifier and its AUC."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from headstart.progress import Advance
from headstart.training.cross_validation import FOLDS, assign_folds

_MOST = 4000  # pictures of each lot
_STRENGTH = 0.003  # inverse of the penalty, for each feature of unit variance
_Z = 1.959964  # of a 95 % interval
_SLIGHT, _CLEAR = 0.6, 0.75


@dataclass(frozen=True)
class Separation:
    """How well two lots can be told apart.

    Attributes:
        auc: probability that a picture of the second lot looks more like that lot than one of the first does; 0.5 is
            chance.
        low: lower end of its 95 % interval.
        high: upper end.
        rows: integer, the pictures of the second lot that were looked at.
        probabilities: float `(rows,)`, how sure the classifier is that each is of the second lot, as if both lots were
            as large; it had not seen the picture.
    """

    auc: float
    low: float
    high: float
    rows: np.ndarray
    probabilities: np.ndarray

    @property
    def is_shift(self) -> bool:
        """Whether they can be told apart by more than chance."""
        return self.low > 0.5

    @property
    def in_words(self) -> str:
        """The answer, with its figures."""
        figures = f"AUC {self.auc:.3f}, 95 % interval {self.low:.3f} to {self.high:.3f}"
        if not self.is_shift:
            return f"no more than chance ({figures})"
        size = "slightly" if self.auc < _SLIGHT else "clearly" if self.auc < _CLEAR else "very clearly"
        return f"{size} different, by more than chance ({figures})"

    def giveaways(self, most: int) -> list[tuple[int, float]]:
        """The pictures of the second lot that are most surely not of the first, with the probability."""
        order = np.argsort(-self.probabilities, kind="stable")[:most]
        return [(int(self.rows[place]), float(self.probabilities[place])) for place in order]


def separate(
    read: Callable[[np.ndarray], np.ndarray],
    ones: np.ndarray,
    others: np.ndarray,
    units: np.ndarray,
    seed: int,
    advance: Advance = lambda count: None,
) -> Separation:
    """Try to tell two lots of pictures apart.

    Logistic regression on standardised features, both lots weighted alike, on folds that divide nothing that looks
    alike and no group.

    Args:
        read: gives the features of rows, float16 or float32 `(rows, width)`.
        ones: integer, rows of the first lot; a sample of them is used where they are many.
        others: integer, rows of the second one.
        units: integer, for every row; what has the same number is not divided over folds.
        seed: decides what is drawn.
        advance: told of every fold.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    lots = [np.sort(random.permutation(lot)[:_MOST]) for lot in (ones, others)]
    rows, is_other = np.concatenate(lots), np.repeat([0, 1], [len(lot) for lot in lots])
    features = np.asarray(read(rows), np.float32)
    folds = assign_folds(is_other, seed, units[rows])
    said = np.full(len(rows), 0.5)
    with threadpool_limits(1):
        for fold in range(FOLDS):
            held = folds == fold
            if held.any() and len(set(is_other[~held])) == 2:
                head = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=200, tol=1e-3)
                model = make_pipeline(StandardScaler(), head).fit(features[~held], is_other[~held])
                said[held] = model.predict_proba(features[held])[:, 1]
            advance(1)
    auc, low, high = auc_with_interval(said, is_other.astype(bool))
    return Separation(auc, low, high, lots[1], said[is_other == 1])


def auc_with_interval(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float, float]:
    """The area under the ROC curve with its 95 % interval.

    DeLong, DeLong and Clarke-Pearson (Biometrics 1988), computed from mid-ranks as Sun and Xu do (IEEE Signal
    Processing Letters 2014).

    Args:
        scores: float `(pictures,)`.
        positive: bool `(pictures,)`; some are and some are not.
    """
    ones, others = scores[positive], scores[~positive]
    m, n = len(ones), len(others)
    together = rankdata(np.concatenate([ones, others]))
    # For each picture, the share of the other lot that it outranks.
    of_ones = (together[:m] - rankdata(ones)) / n
    of_others = 1 - (together[m:] - rankdata(others)) / m
    auc = float(of_ones.mean())
    variance = of_ones.var(ddof=1) / m + of_others.var(ddof=1) / n if min(m, n) > 1 else 0.25
    reach = _Z * float(np.sqrt(variance))
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)
