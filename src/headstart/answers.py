"""What a classifier says: of pictures, of one picture in words, and of labelled ones with how it fares."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from headstart.evaluation.evaluate import Figures
from headstart.images.pictures import Picture, Quarantined


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture.

    Attributes:
        path: the picture, as it was given.
        label: the most probable class.
        probability: its probability, 0 to 1.
        probabilities: of every class, by name, the most probable first.
        familiarity: the share of pictures like those of the training that are as far from these, above 0, at most 1;
            None where the RUN cannot tell.
        unlike: whether that is so little that the picture is unlike the training data, and nothing that is said of it
            can be trusted; None where the RUN cannot tell.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    familiarity: float | None = None
    unlike: bool | None = None


@dataclass(frozen=True)
class Evaluation:
    """How a classifier fares on labelled pictures.

    Attributes:
        figures: accuracy, loss and the rest.
        pictures: those that could be decoded.
        probabilities: float32 `(pictures, classes)`, in the order of the RUN's classes.
        quarantined: the files that were left out, and why.
        unlike: bool `(pictures,)`, which of them are unlike the training data; None where the RUN cannot tell.
    """

    figures: Figures
    pictures: list[Picture]
    probabilities: np.ndarray
    quarantined: list[Quarantined]
    unlike: np.ndarray | None = None


class Answers(NamedTuple):
    """What a classifier says of some pictures.

    Attributes:
        probabilities: float32 `(pictures, classes)`; rows sum to one.
        shares: float64 `(pictures,)`, above 0, at most 1, how familiar each is, see `Prediction.familiarity`; None
            where the RUN cannot tell.
    """

    probabilities: np.ndarray
    shares: np.ndarray | None

    def rows(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """The probabilities of each picture, and how familiar it is."""
        shares = [None] * len(self.probabilities) if self.shares is None else map(float, self.shares)
        return zip(self.probabilities, shares, strict=True)
