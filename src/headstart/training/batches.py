"""What the trainable half learns from: batches of kept or streamed frontier tensors with their targets.

Everything random here follows from the seed, the epoch and the picture alone, so that a training that goes on after
an interruption sees exactly what it would have seen without one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from headstart.distributed.shares import Share
from headstart.errors import DataError
from headstart.features.extract import Extraction, load_pictures
from headstart.features.runtime import Runtime
from headstart.features.store import Arrays
from headstart.images.decode import DecodeRecipe
from headstart.images.pictures import Quarantined
from headstart.images.views import View
from headstart.specs import Op


class Source(Protocol):
    """Where frontier tensors come from."""

    def read(self, paths: Sequence[str], epoch: int) -> Arrays:
        """The frontier tensors of some pictures as they are in an epoch: one array for each, a row for each path."""
        ...


@dataclass(frozen=True)
class Kept:
    """Tensors in the store.

    Attributes:
        views: one extraction for each kept view of the pictures; with several, each picture draws one per epoch.
        seed: of the draw.
    """

    views: Sequence[Extraction]
    seed: int = 0

    def read(self, paths: Sequence[str], epoch: int) -> Arrays:
        """See `Source`."""
        if len(self.views) == 1:
            return self.views[0].read(paths)
        drawn = np.array([self._draw(path, epoch) for path in paths])
        parts: Arrays = []
        for number in np.unique(drawn):
            rows = np.flatnonzero(drawn == number)
            arrays = self.views[number].read([paths[int(row)] for row in rows])
            parts = parts or [np.empty((len(paths), *array.shape[1:]), array.dtype) for array in arrays]
            for part, array in zip(parts, arrays, strict=True):
                part[rows] = array
        return parts

    def _draw(self, path: str, epoch: int) -> int:
        """Which view a picture shows; all of them come once before any comes again."""
        digest = int(self.views[0].digests[path][:8], 16)
        turn, place = divmod(epoch, len(self.views))
        return int(np.random.default_rng([self.seed, digest, turn]).permutation(len(self.views))[place])


@dataclass(frozen=True)
class Streamed:
    """Fresh random views in every epoch, pushed through the frozen part and not kept.

    Attributes:
        decode: how pictures are decoded.
        ops: what is changed at random.
        seed: of the changes.
        runtime: the frozen part.
    """

    decode: DecodeRecipe
    ops: tuple[Op, ...]
    seed: int
    runtime: Runtime

    def read(self, paths: Sequence[str], epoch: int) -> Arrays:
        """See `Source`.

        Raises:
            DataError: if a picture that could be decoded before cannot be any more.
        """
        pixels = []
        for path, content in load_pictures(paths, self.decode, View(self.ops, self.seed, epoch)):
            if isinstance(content, Quarantined):
                raise DataError(f"{path} has changed since the training began: {content.reason}")
            pixels.append(content)
        return self.runtime(np.stack(pixels))


class Batches(keras.utils.PyDataset):
    """Batches of frontier tensors with their targets, read as they are needed.

    Args:
        source: where the tensors come from.
        paths: the pictures.
        targets: float32 or integer `(pictures, ...)`, what the loss takes.
        batch_size: rows per batch; the last one may have fewer.
        seed: shuffles anew in every epoch; None keeps the order.
        weights: float32 `(pictures,)`, how much each picture counts; None for all the same.
        mixing: `mixup` or `cutmix`, drawn per batch where both are given; targets must be one-hot.
        share: which rows of each batch are given, where several devices learn from it; None for all of them.

    Attributes:
        error: what went wrong while a batch was made; None if nothing did.
    """

    def __init__(
        self,
        source: Source,
        paths: Sequence[str],
        targets: np.ndarray,
        batch_size: int,
        seed: int | None = None,
        weights: np.ndarray | None = None,
        mixing: Sequence[Op] = (),
        share: Share | None = None,
    ):
        super().__init__()
        self._source, self._paths, self._targets = source, list(paths), targets
        self._batch_size, self._seed, self._weights, self._mixing = batch_size, seed, weights, tuple(mixing)
        self._share, self._epoch = share, 0
        self.error: Exception | None = None
        self._order = np.arange(len(self._paths))

    def begin(self, epoch: int) -> None:
        """Shuffle for an epoch, counted from zero."""
        self._epoch = epoch
        if self._seed is not None:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._paths))

    @property
    def pictures(self) -> int:
        """How many pictures one epoch has."""
        return len(self._paths)

    def __len__(self) -> int:
        return math.ceil(len(self._paths) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        try:
            return self._batch(index)
        except Exception as error:
            self.error = error
            raise

    def _batch(self, index: int) -> tuple[Any, ...]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        mine = None if self._share is None else self._share.rows(len(chosen))
        if mine is not None and not self._mixing:  # what is mixed has to be read whole
            chosen, mine = chosen[mine], None
        arrays = self._source.read([self._paths[i] for i in chosen], self._epoch)
        wanted = [self._targets[chosen]] if self._weights is None else [self._targets[chosen], self._weights[chosen]]
        if self._mixing:
            random = np.random.default_rng([self._seed or 0, self._epoch, index])
            arrays, wanted = mix(arrays, wanted, self._mixing[random.integers(len(self._mixing))], random)
        if mine is not None:
            arrays, wanted = [array[mine] for array in arrays], [array[mine] for array in wanted]
        return tuple(arrays) if len(arrays) > 1 else arrays[0], *wanted


def mix(arrays: Arrays, targets: Arrays, op: Op, random: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Mix each row of a batch with another one, and what goes with them in the same proportion.

    Source: mixup, Zhang et al., arXiv 1710.09412; on inner layers Verma et al., arXiv 1806.05236; CutMix, Yun et al.,
    arXiv 1905.04899, here a box at the same relative place in every tensor.

    Args:
        arrays: one per frontier tensor; for `cutmix` all of them maps `(batch, rows, columns, width)`.
        targets: float32, rows first: one-hot targets, and how much each row counts.
        op: `mixup` or `cutmix` with its alpha.
        random: where chance comes from.
    """
    other = random.permutation(len(arrays[0]))
    share = float(random.beta(op.amount, op.amount))
    if op.kind == "mixup":
        mixed = [(share * array + (1 - share) * array[other]).astype(np.float32) for array in arrays]
    else:
        mixed, share = _paste_boxes(arrays, other, share, random)
    return mixed, [(share * rows + (1 - share) * rows[other]).astype(np.float32) for rows in targets]


def _paste_boxes(arrays: Arrays, other: np.ndarray, share: float, random: np.random.Generator) -> tuple[Arrays, float]:
    """Paste a box of the other row, of 1 - share of the area; returns what is left of the row's own area, too."""
    side = math.sqrt(1 - share)
    top, left = random.uniform(0, 1 - side, 2)
    mixed, left_over = [], 1.0
    for array in arrays:
        rows, columns = array.shape[1:3]
        box = (slice(None), *(slice(round(a * n), round((a + side) * n)) for a, n in ((top, rows), (left, columns))))
        pasted = array.astype(np.float32)
        pasted[box] = array[other][box]
        left_over = 1 - (box[1].stop - box[1].start) * (box[2].stop - box[2].start) / (rows * columns)
        mixed.append(pasted)
    return mixed, left_over
