"""Training the trainable half by Keras, on features from the store."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from headstart.features.extract import Extraction
from headstart.progress import Advance

BATCH = 32
LEARNING_RATE = 1e-3
PATIENCE = 5
"""Epochs without a better validation loss after which training stops."""


class FeatureBatches(keras.utils.PyDataset):
    """Batches of kept features with their labels, read from the store as they are needed.

    Args:
        extraction: where the features are.
        paths: the pictures.
        labels: integer `(pictures,)`.
        seed: shuffles anew in every epoch, in the same way for the same seed; None keeps the order.
    """

    def __init__(self, extraction: Extraction, paths: Sequence[str], labels: np.ndarray, seed: int | None):
        super().__init__()
        self._extraction = extraction
        self._paths = list(paths)
        self._labels = labels
        self._random = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(self._paths))
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._paths) / BATCH)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        chosen = self._order[index * BATCH : (index + 1) * BATCH]
        arrays = self._extraction.read([self._paths[i] for i in chosen])
        return (tuple(arrays) if len(arrays) > 1 else arrays[0]), self._labels[chosen]

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        if self._random is not None:
            self._random.shuffle(self._order)


class _Progress(keras.callbacks.Callback):
    def __init__(self, advance: Advance):
        super().__init__()
        self._advance = advance

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._advance(1)


def fit(
    model: keras.Model, train: FeatureBatches, val: FeatureBatches, epochs: int, advance: Advance = lambda count: None
) -> list[dict[str, float]]:
    """Train a trainable half with AdamW until the validation loss stops falling, and keep the best epoch's weights.

    Args:
        model: from frontier tensors to probabilities; its weights are changed.
        train: what it learns from.
        val: what decides when to stop.
        epochs: at most so many.
        advance: told of every epoch that is done.

    Returns:
        One row per epoch: `epoch` from 1, `accuracy`, `loss`, `val_accuracy`, `val_loss`.
    """
    model.compile(keras.optimizers.AdamW(LEARNING_RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    history = model.fit(
        train, validation_data=val, epochs=epochs, verbose=0, shuffle=False, callbacks=[stop, _Progress(advance)]
    ).history
    return [
        {"epoch": number + 1, **{name: float(values[number]) for name, values in sorted(history.items())}}
        for number in range(len(history["loss"]))
    ]
