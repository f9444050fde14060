"""What features are worth: heads that have not seen a picture say what it is, on the same folds for all backbones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.errors import DataError
from headstart.evaluation.evaluate import cross_entropy, share_interval
from headstart.images.dataset import Labelled
from headstart.images.split import undivided
from headstart.progress import Advance
from headstart.training.cross_validation import FOLDS, assign_folds, by_class
from headstart.training.solve import STEPS, held_out_probabilities

JUDGING_STEPS = STEPS["auto"] + FOLDS
"""How many fits a verdict takes at most: what `advance` is told of."""


@dataclass(frozen=True)
class Pool:
    """The pictures that backbones are compared on, those that were drawn first in front.

    Attributes:
        paths: the files.
        labels: integer `(pictures,)`.
        units: for each picture what must not be divided over folds: its group, or its content.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    units: tuple[str, ...]

    @classmethod
    def of(cls, pictures: Labelled, seed: int) -> "Pool":
        """Put pictures in an order of which every beginning has of every class its share, drawn at random."""
        labels = pictures.labels
        place, counts = np.empty(len(labels)), np.bincount(labels)
        in_order = by_class(labels, seed)
        begins = np.concatenate([[0], np.cumsum(counts)])[labels[in_order]]
        place[in_order] = (np.arange(len(labels)) - begins + 0.5) / counts[labels[in_order]]
        order = np.argsort(place, kind="stable")
        examples = [pictures.examples[int(row)] for row in order]
        units = undivided([e.digest for e in examples], [e.picture.group for e in examples])
        return cls(tuple(e.picture.path for e in examples), labels[order], tuple(units))

    def __len__(self) -> int:
        return len(self.paths)

    def trial(self, rows: np.ndarray, seed: int) -> "Trial":
        """Deal some of the pictures out to folds.

        Args:
            rows: integer, which.
            seed: decides the folds.

        Raises:
            DataError: if nothing can be held out.
        """
        _, labels = np.unique(self.labels[rows], return_inverse=True)
        folds = assign_folds(labels, seed, [self.units[int(row)] for row in rows])
        if not np.any(folds >= 0):
            raise DataError(
                "there are too few pictures to compare backbones on: no class has two to learn from that are not the "
                "same one or of one group."
            )
        return Trial(tuple(self.paths[int(row)] for row in rows), labels, folds, seed)


@dataclass(frozen=True)
class Verdict:
    """How a backbone does on pictures that its heads have not seen.

    Attributes:
        hits: bool `(pictures,)`, which of those that were held out it gets right.
        accuracy: their share, 0 to 1.
        low: lower end of its 95 % interval.
        high: upper end.
        loss: mean cross-entropy in nats.
        judged: pictures that heads were fitted on and, all but a few, held out in turn.
    """

    hits: np.ndarray
    accuracy: float
    low: float
    high: float
    loss: float
    judged: int


@dataclass(frozen=True)
class Trial:
    """Pictures with folds: the same for all that are judged by it.

    Attributes:
        paths: the files.
        labels: integer `(pictures,)`, every number from 0 on at least once.
        folds: integer `(pictures,)`, the fold in which each is held out, or -1.
        seed: decides whatever is drawn.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    folds: np.ndarray
    seed: int

    def judge(self, features: Sequence[np.ndarray], advance: Advance = lambda count: None) -> Verdict:
        """What features are worth.

        Args:
            features: float16 or float32 `(pictures, width)`; several are put side by side.
            advance: told of every fit, at most `JUDGING_STEPS`.
        """
        together = features[0] if len(features) == 1 else np.concatenate(features, axis=1)
        said = held_out_probabilities(together, self.labels, self.folds, self.seed, advance)
        held = self.folds >= 0
        hits = said[held].argmax(axis=1) == self.labels[held]
        low, high = share_interval(int(hits.sum()), len(hits))
        loss = cross_entropy(said[held], self.labels[held])
        return Verdict(hits, float(hits.mean()), low, high, loss, len(self.paths))
