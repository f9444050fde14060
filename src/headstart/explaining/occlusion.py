"""Occlusion: how much a class loses when a place of the picture says no more than the others do. No gradients.

Places are occluded in the last feature map rather than in the picture: the network runs once per picture, and the head
once per place. A place is replaced by the average of all places, so that it stands out no more.

Sources: Zeiler and Fergus, Visualizing and understanding convolutional networks (ECCV 2014), for occlusion; Zhou et
al., Learning deep features for discriminative localization (CVPR 2016), for class activation maps, which this is where
the head is linear.
"""

import math
from collections.abc import Iterator

import numpy as np

from headstart.bundle import Run
from headstart.errors import DataError
from headstart.explaining.halves import Halves, load_halves

_MOST_VECTORS = 14
"""Rows and columns of places where only a head runs for each."""

_MOST_MAPS = 8
"""Rows and columns of places where layers of the network run for each."""

_ROWS_AT_ONCE = 64 << 20
"""Bytes of changed rows that are in memory at the same time."""

_ROUNDING = 1e-5
"""A loss of log-odds that is smaller than this share of them is none."""


def heatmaps(run: Run, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray | None:
    """Where in each picture the network finds what speaks for a class.

    Where the last feature map is averaged before the head, each place of it is replaced by that average, and the head
    run again. For a linear head and two classes that gives the class activation map above its mean; for other heads it
    is the exact answer to the same question. Where no average is, places of the map that the frozen part gives are
    replaced, or squares of the picture, at most 8x8 of them, each of which costs a run of the layers behind.

    Args:
        run: the RUN.
        pixels: uint8 RGB `(n, height, width, 3)`, of the size in `run.decode_recipe`.
        classes: integer `(n,)`, which class is asked about in each picture, by its number in `run.classes`.

    Returns:
        float32 `(n, rows, columns)`, from 0 to 1: how much of the class's log-odds is lost without each place, the most
        that is lost in a picture being 1. All zeros where nothing speaks for the class. None where the RUN has nothing
        that OpenVINO could run.

    Raises:
        DataError: if there is not one class for each picture.
        RunError: if the RUN's files are damaged.
    """
    if len(pixels) != len(classes) or not len(pixels):
        raise DataError(f"{len(pixels)} pictures and {len(classes)} classes; one class for each picture is needed.")
    halves = load_halves(run, len(pixels))
    return None if halves is None else occluded(halves, pixels, classes)


def occluded(halves: Halves, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The same for a network that has been cut already."""
    return np.concatenate([_losses(halves, maps, classes[where]) for where, maps in _few_at_once(pixels, halves)])


def log_odds(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How much a class is more likely than all others together, on a scale that does not end at certainty.

    Args:
        logits: unnormalised log-probabilities `(n, classes)`.
        classes: integer `(n,)`.

    Returns:
        `log(p / (1 - p))` for the probability `p` of each row's class, `(n,)`.
    """
    chosen = np.arange(logits.shape[1]) == np.asarray(classes)[:, None]
    others = np.where(chosen, -np.inf, logits)
    largest = others.max(axis=1)
    return np.asarray(logits[chosen] - largest - np.log(np.exp(others - largest[:, None]).sum(axis=1)))


def _few_at_once(pixels: np.ndarray, halves: Halves) -> Iterator[tuple[slice, np.ndarray]]:
    """Maps of so many pictures that what is made of them fits into memory."""
    first = halves.maps(pixels[:1])[0]
    most = _MOST_VECTORS if halves.pools else _MOST_MAPS
    places = min(first.shape[0], most) * min(first.shape[1], most)
    width = first.shape[2] if halves.pools else first.size
    step = max(1, _ROWS_AT_ONCE // (4 * places * width))
    for start in range(0, len(pixels), step):
        where = slice(start, start + step)
        yield where, halves.maps(pixels[where])


def _losses(halves: Halves, maps: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The heat maps of a few pictures, float32 `(n, rows, columns)`."""
    most = _MOST_VECTORS if halves.pools else _MOST_MAPS
    rows, columns = (_starts(side, most) for side in maps.shape[1:3])
    changed = (_without_places if halves.pools else _with_places_flat)(maps, rows, columns)
    asked = np.repeat(classes, len(rows) * len(columns))
    left = log_odds(halves.logits(changed), asked).reshape(len(maps), len(rows), len(columns))
    whole = log_odds(halves.logits(maps.mean((1, 2)) if halves.pools else maps), classes)[:, None, None]
    lost = np.maximum(whole - left, 0)
    most_lost = lost.max((1, 2), keepdims=True)
    is_noise = most_lost <= _ROUNDING * (1 + np.abs(whole))
    return np.asarray(np.where(is_noise, 0, lost / np.where(is_noise, 1, most_lost)), np.float32)


def _starts(side: int, most: int) -> np.ndarray:
    """Where each of at most so many equal parts of a side begins."""
    parts = min(side, most)
    return np.arange(parts) * side // parts


def _without_places(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Averages of maps of which one place after the other has become the average, `(n * places, channels)`."""
    averages = maps.mean((1, 2), keepdims=True)
    missing = np.add.reduceat(np.add.reduceat(averages - maps, rows, axis=1), columns, axis=2)
    changed: np.ndarray = averages + missing / math.prod(maps.shape[1:3])
    return changed.reshape(-1, maps.shape[3])


def _with_places_flat(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Maps of which one place after the other has become the average, `(n * places, rows, columns, channels)`."""
    row_of = np.searchsorted(rows, np.arange(maps.shape[1]), side="right") - 1
    column_of = np.searchsorted(columns, np.arange(maps.shape[2]), side="right") - 1
    place_of = row_of[:, None] * len(columns) + column_of
    place = np.arange(len(rows) * len(columns))[:, None, None]
    is_occluded = (place_of == place)[None, ..., None]
    changed = np.where(is_occluded, maps.mean((1, 2), keepdims=True)[:, None], maps[:, None])
    return changed.reshape(-1, *maps.shape[1:])
