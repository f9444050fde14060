"""Features that are read by row: a head is chosen on a sample of them in memory, and fitted on all, piece by piece."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from headstart.features.extract import Extraction
from headstart.threads import cores, in_order

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_AHEAD = 8  # pieces in memory at once, however many cores there are


class Features(Protocol):
    """One vector for each picture."""

    def __len__(self) -> int:
        """How many pictures there are."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Float32 `(rows, width)`, a new array, of integer `(rows,)`."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Features that are in memory.

    Attributes:
        values: float16 or float32 `(pictures, width)`.
    """

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See `Features`."""
        return np.asarray(self.values[rows], np.float32)


@dataclass(frozen=True)
class Stored:
    """Features that a store keeps.

    Attributes:
        extraction: knows where they are.
        paths: the pictures.
    """

    extraction: Extraction
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See `Features`."""
        (values,) = self.extraction.read([self.paths[int(row)] for row in rows])
        return values.reshape(len(rows), -1)


def in_pieces(rows: np.ndarray, size: int = 4096) -> list[np.ndarray]:
    """Row numbers in pieces, so that what is computed of them need not be in memory at once."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def on_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`in_order` on all cores; only a few items are taken before the result of the first is asked for."""
    workers = min(cores(), _MOST_AHEAD)
    return in_order(function, items, workers, workers)
