"""What the filters of a network respond to: those of its first layer as they are, those of others by example.

The pictures that activate a channel most are found as in Zeiler and Fergus, Visualizing and understanding convolutional
networks (ECCV 2014), and shown with the place of the maximum; nothing is projected back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from headstart.bundle import Run
from headstart.errors import DataError
from headstart.evaluation.evaluate import of_both_classes
from headstart.explaining.inside import Inside, neighbourhoods
from headstart.features.extract import in_batches, load_pictures
from headstart.images.pictures import Quarantined
from headstart.models.graph import trace
from headstart.progress import bar

_TIE = 1e-3


@dataclass(frozen=True)
class Place:
    """Where a channel is at its maximum in one picture.

    Attributes:
        path: the picture.
        row: from the upper edge, as a share of the picture, 0 to 1.
        column: from the left edge, as a share of the picture, 0 to 1.
    """

    path: str
    row: float
    column: float


@dataclass(frozen=True)
class Channel:
    """One channel of a layer.

    Attributes:
        number: which.
        label: the class that the network's answer is where the channel's average is highest, compared with its spread.
        explained: the share of the variance of its average that goes with the answers, 0 to 1 (eta squared).
        places: where it is most active, one for each picture, the most active first.
    """

    number: int
    label: str
    explained: float
    places: tuple[Place, ...]


def first_filters(model: keras.Model) -> tuple[str, np.ndarray] | None:
    """The filters of the first convolution, as colours.

    Returns:
        The layer's name, and float32 `(filters, rows, columns, 3)` in RGB; weights may be negative. None if the first
        convolution does not take colours.
    """
    calls = trace(model).calls
    first = next((call.operation for call in calls if isinstance(call.operation, keras.layers.Conv2D)), None)
    if first is None or first.kernel.shape[2] != 3:
        return None
    filters = np.asarray(keras.ops.convert_to_numpy(first.kernel), np.float32).transpose(3, 0, 1, 2)
    takes_bgr = any(type(call.operation).__name__ == "Flip" for call in calls)
    return first.name, filters[..., ::-1] if takes_bgr else filters


def telling_channels(
    run: Run, inside: Inside, layer: Any, paths: Sequence[str], channels: int, examples: int, show: bool = False
) -> list[Channel]:
    """The channels of a layer that go most with the network's answers, and where they are most active.

    Pictures are looked at once, a batch at a time: memory does not grow with their number. Channels of all answers take
    turns, those that go most with each first.

    Args:
        run: the RUN.
        inside: its network.
        layer: which gives maps `(batch, rows, columns, channels)`.
        paths: the pictures; those that cannot be decoded are left out.
        channels: how many to show.
        examples: pictures for each of them.
        show: whether to draw a progress bar.

    Raises:
        DataError: if no picture can be decoded.
    """
    width = layer.output.shape[-1]
    best, moments = _Best(width, examples), _Moments(len(run.classes), width)
    used: list[str] = []
    with bar("looking at pictures", len(paths), "pictures", show) as advance:
        for names, maps, answers in _looked_at(run, inside, layer, paths):
            best.add(maps, len(used))
            moments.add(maps.mean((1, 2)), answers)
            used += names
            advance(len(names))
    if not used:
        raise DataError(f"none of the {len(paths)} files is a picture that can be decoded.")
    labels, explained = moments.summary()
    chosen = _taking_turns(labels, explained, channels)
    return [Channel(i, run.classes[labels[i]], float(explained[i]), tuple(best.places(i, used))) for i in chosen]


def _looked_at(
    run: Run, inside: Inside, layer: Any, paths: Sequence[str]
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Pictures that can be decoded, their maps, and the numbers of the classes that the network takes them for."""
    give = inside.giving([layer], len(paths), with_probabilities=True)
    for batch in in_batches(load_pictures(paths, run.decode_recipe)):
        good = [(path, content) for path, content in batch if not isinstance(content, Quarantined)]
        if good:
            maps, rows = give(np.stack([pixels for _, pixels in good]))
            rows = of_both_classes(rows) if rows.shape[1] == 1 else rows
            yield [path for path, _ in good], maps, rows.argmax(1)


class _Best:
    """For every channel the pictures with the highest maxima so far.

    Many places may share a maximum, because ReLU6 ends there: among these counts what is around them, and the picture.
    """

    def __init__(self, width: int, examples: int):
        self._values = np.full((width, examples), -np.inf, np.float32)
        self._pictures = np.zeros((width, examples), np.int64)
        self._spots = np.zeros((width, examples), np.int64)
        self._shape = (1, 1)

    def add(self, maps: np.ndarray, first: int) -> None:
        """Look at more pictures, the first of which has the number `first`."""
        self._shape = maps.shape[1:3]
        scores = maps + _TIE * (neighbourhoods(maps) + maps.mean((1, 2), keepdims=True))
        flat = scores.reshape(len(maps), -1, maps.shape[3])
        spots = flat.argmax(1).T
        pictures = np.broadcast_to(np.arange(first, first + len(maps)), spots.shape)
        values = np.concatenate([self._values, flat.max(1).T], 1)
        order = np.argsort(-values, axis=1, kind="stable")[:, : self._values.shape[1]]
        self._values = np.take_along_axis(values, order, 1)
        self._pictures = np.take_along_axis(np.concatenate([self._pictures, pictures], 1), order, 1)
        self._spots = np.take_along_axis(np.concatenate([self._spots, spots], 1), order, 1)

    def places(self, channel: int, paths: Sequence[str]) -> Iterator[Place]:
        """Where a channel is most active."""
        rows, columns = self._shape
        found = zip(self._values[channel], self._pictures[channel], self._spots[channel], strict=True)
        for value, picture, spot in found:
            if np.isfinite(value):
                row, column = divmod(int(spot), columns)
                yield Place(paths[picture], (row + 0.5) / rows, (column + 0.5) / columns)


class _Moments:
    """Counts, sums and sums of squares of every channel's averages, by the network's answer."""

    def __init__(self, classes: int, width: int):
        self._counts = np.zeros((classes, 1))
        self._sums = np.zeros((classes, width))
        self._squares = np.zeros(width)

    def add(self, averages: np.ndarray, answers: np.ndarray) -> None:
        """Count more pictures."""
        np.add.at(self._counts, answers, 1)
        np.add.at(self._sums, answers, averages)
        self._squares += np.square(averages, dtype=float).sum(0)

    def summary(self) -> tuple[np.ndarray, np.ndarray]:
        """For each channel, the answer that it is highest for, and the share of its variance that answers explain."""
        seen = np.flatnonzero(self._counts[:, 0])
        counts, sums = self._counts[seen], self._sums[seen]
        mean = sums.sum(0) / counts.sum()
        total = self._squares - counts.sum() * mean**2
        between = (counts * (sums / counts - mean) ** 2).sum(0)
        varies = total > 1e-9 * np.maximum(self._squares, 1e-30)
        explained = np.where(varies, between / np.where(varies, total, 1), 0).clip(0, 1)
        return seen[(sums / counts).argmax(0)], explained


def _taking_turns(labels: np.ndarray, explained: np.ndarray, count: int) -> list[int]:
    """The best channels of each label, one of each in turn."""
    order = np.argsort(-explained, kind="stable")
    turn_of: dict[int, int] = {}
    turns = []
    for channel in order:
        turn_of[labels[channel]] = turn_of.get(labels[channel], -1) + 1
        turns.append(turn_of[labels[channel]])
    return [int(order[i]) for i in np.argsort(turns, kind="stable")[:count]]
