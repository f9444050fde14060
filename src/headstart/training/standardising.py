"""What the training pictures are like, measured on these alone and once for the same ones."""

import json
from collections.abc import Sequence

import numpy as np

from headstart.errors import DataError, storage_errors
from headstart.features.extract import load_pictures
from headstart.features.keys import space_digest
from headstart.features.store import STORE_HINT, write_atomically
from headstart.images.split import Shares
from headstart.models.standardise import Standardisation
from headstart.progress import bar
from headstart.training.keeping import Keeper, some_of_training

PICTURES = 2048
"""Training pictures that are measured at most: means over many more hardly move."""


def measure(keeper: Keeper, shares: Shares) -> Standardisation:
    """The mean and the standard deviation of each channel over the pixels of the training pictures.

    Args:
        keeper: the pictures and the store.
        shares: how they are divided.

    Raises:
        DataError: if none of them can be decoded.
    """
    chosen = some_of_training(keeper, shares, PICTURES)
    about = {"decode": keeper.decode.identity(), "pictures": list(chosen.values())}
    file = keeper.store.root / "statistics" / f"{space_digest(about)}.json"
    try:
        known = json.loads(file.read_text())
        return Standardisation(tuple(known["mean"]), tuple(known["std"]))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: measured again
        found = _measured(keeper, list(chosen))
    with storage_errors(file, STORE_HINT):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"mean": found.mean, "std": found.std}).encode())
    return found


def _measured(keeper: Keeper, paths: Sequence[str]) -> Standardisation:
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    with bar("measuring the pictures", len(paths), "pictures", keeper.show) as advance:
        for _, content in load_pictures(paths, keeper.decode):
            if isinstance(content, np.ndarray):
                pixels = content.reshape(-1, 3).astype(np.float64)
                sums, squares, count = sums + pixels.sum(axis=0), squares + (pixels**2).sum(axis=0), count + len(pixels)
            advance(1)
    if not count:
        raise DataError(f"none of the {len(paths)} training pictures in {keeper.listing.root} can be decoded.")
    mean = sums / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Standardisation(tuple(mean.tolist()), tuple(std.tolist()))
