"""What is exported: pictures in rows, of which only some are in memory at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.evaluation.unlike import pooled
from headstart.features.extract import Extraction
from headstart.images.dataset import Example

_PIECE_BYTES = 8 << 20
_MOST_ROWS = 4096

TEXTS: dict[str, Callable[[Example], str]] = {
    "paths": lambda example: example.picture.name,
    "sides": lambda example: example.side,
    "digests": lambda example: example.digest,
    "groups": lambda example: example.picture.group or "",
}
"""The columns of texts, and where they come from."""


@dataclass(frozen=True)
class Table:
    """Pictures with their features.

    Attributes:
        classes: the class names.
        examples: the pictures, in the order in which they were found.
        extraction: knows where the features are.
        about: where all of it comes from: texts, numbers, None and mappings of these.
    """

    classes: tuple[str, ...]
    examples: tuple[Example, ...]
    extraction: Extraction
    about: dict[str, Any]
    width: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.features(slice(0, 1)).shape[1])

    def __len__(self) -> int:
        return len(self.examples)

    def pieces(self) -> Iterator[slice]:
        """Rows that are in memory together."""
        size = max(1, min(_MOST_ROWS, _PIECE_BYTES // (4 * self.width)))
        return (slice(start, min(start + size, len(self))) for start in range(0, len(self), size))

    def features(self, rows: slice) -> np.ndarray:
        """Float32 `(rows, width)`."""
        return pooled(self.extraction.read([example.picture.path for example in self.examples[rows]]))

    def labels(self, rows: slice) -> np.ndarray:
        """Int64 `(rows,)`, places in the class names."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[str(example.picture.label)] for example in self.examples[rows]], np.int64)

    def texts(self, column: str, rows: slice) -> list[str]:
        """One of the columns in `TEXTS`."""
        return [as_text(TEXTS[column](example)) for example in self.examples[rows]]


def as_text(name: str) -> str:
    r"""A name as UTF-8 can hold it: bytes on disk that are none are written as `\udc` and their number."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
