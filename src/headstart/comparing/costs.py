"""What a backbone costs: how many pictures a second its frozen part makes on this machine, and how large it is."""

import time
from dataclasses import dataclass

import numpy as np

from headstart.features.runtime import Runtime

_SECONDS = 0.6
_FEWEST = 3

_BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Cost:
    """What it takes to run a backbone over pictures.

    Attributes:
        pictures_per_second: of the frozen part alone, without reading and decoding.
        parameters: weights of the backbone.
    """

    pictures_per_second: float
    parameters: int

    @property
    def bytes(self) -> int:
        """What its weights take in a file."""
        return _BYTES_PER_PARAMETER * self.parameters

    def beside(self, other: "Cost") -> "Cost":
        """Of both, one after the other."""
        seconds = 1 / self.pictures_per_second + 1 / other.pictures_per_second
        return Cost(1 / seconds, self.parameters + other.parameters)


def measure_speed(runtime: Runtime, side: int, batch: int) -> float:
    """Pictures a second, by the quickest of a few runs: whatever else the machine does only makes them slower.

    Args:
        runtime: a frozen part, which is run as an extraction runs it.
        side: rows and columns of the pictures.
        batch: pictures in one run.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    runtime(pixels)  # the first run prepares what the others find
    runs: list[float] = []
    while len(runs) < _FEWEST or sum(runs) < _SECONDS:
        began = time.perf_counter()
        runtime(pixels)
        runs.append(time.perf_counter() - began)
    return batch / min(runs)
