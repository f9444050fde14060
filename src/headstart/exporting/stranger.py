"""Runs an export as a stranger would: by the `use.py` beside it, in a process that has not headstart in it.

    python -P stranger.py USE_PY PIXELS.npy RESULT.npz BATCH...

It is run as a file, by `headstart.exporting.comparison`, and so imports nothing of headstart's.
"""

import runpy
import sys
import time
from collections.abc import Callable

import numpy as np


def _in_batches(classify: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, size: int) -> np.ndarray:
    starts = range(0, len(pixels), size)
    return np.concatenate([classify(np.ascontiguousarray(pixels[start : start + size])) for start in starts])


def _main(use: str, given: str, wanted: str, *batches: str) -> None:
    classify = runpy.run_path(use)["classify"]
    pixels = np.load(given, mmap_mode="r")
    found = {size: _in_batches(classify, pixels, int(size)) for size in batches}
    started = time.perf_counter()
    _in_batches(classify, pixels[:16], int(batches[-1]))
    found["speed"] = np.array(len(pixels[:16]) / (time.perf_counter() - started))
    np.savez(wanted, allow_pickle=False, **found)


if __name__ == "__main__":
    _main(*sys.argv[1:])
