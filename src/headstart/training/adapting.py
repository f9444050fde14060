"""Estimating the statistics of BatchNormalization anew on the training pictures, once for the same pictures.

The statistics are weights of the frozen part, so they are part of the key of all features that follow from them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from headstart.errors import storage_errors
from headstart.features.extract import in_batches, load_pictures
from headstart.features.keys import space_digest
from headstart.features.store import STORE_HINT, write_atomically
from headstart.images.split import Shares
from headstart.models.batchnorm import adapt, set_statistics, statistics
from headstart.models.cut import fingerprint
from headstart.progress import Advance, bar
from headstart.training.keeping import Keeper, some_of_training

PICTURES = 2048
"""Training pictures that the statistics are estimated on, at most: means over many more hardly move."""


def adapt_to(model: keras.Model, keeper: Keeper, shares: Shares) -> None:
    """Give every BatchNormalization of a model the statistics of the training pictures.

    Args:
        model: from pixels on, with its backbones nested in it.
        keeper: the pictures and the store.
        shares: how they are divided.
    """
    chosen = some_of_training(keeper, shares, PICTURES)
    original = fingerprint(model)
    about = {"decode": keeper.decode.identity(), "pictures": list(chosen.values())}
    file = keeper.store.converted(original) / f"adapted-{space_digest(about)}.safetensors"
    known = _recall(file)
    if known is not None:
        set_statistics(model, known)
        return
    with bar("adapting BatchNorm", len(chosen), "pictures", keeper.show) as advance:
        adapt(model, _batches(keeper, list(chosen), advance))
    _remember(file, statistics(model))


def _batches(keeper: Keeper, paths: Sequence[str], advance: Advance) -> Iterator[np.ndarray]:
    decoded = (content for _, content in load_pictures(paths, keeper.decode) if isinstance(content, np.ndarray))
    for batch in in_batches(decoded):
        yield np.stack(batch)
        advance(len(batch))


def _recall(file: Path) -> list[np.ndarray] | None:
    try:
        arrays = load_file(file)
    except (OSError, SafetensorError):  # not there, or damaged: estimated again
        return None
    return [arrays[name] for name in sorted(arrays)]


def _remember(file: Path, arrays: Sequence[np.ndarray]) -> None:
    with storage_errors(file, STORE_HINT):
        file.parent.mkdir(parents=True, exist_ok=True)
        named = {f"{number:06d}": np.ascontiguousarray(array) for number, array in enumerate(arrays)}
        write_atomically(file, save(named))
