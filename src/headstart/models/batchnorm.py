"""The moving statistics of BatchNormalization, estimated anew on the pictures that are at hand.

A frozen network normalises with the means and variances of the pictures it was pretrained on. Estimating them once on
the new ones adapts it without training a weight, and leaves it as fixed as before.

Sources: Li et al., Revisiting Batch Normalization For Practical Domain Adaptation (AdaBN), 2016, arXiv:1603.04779;
Wu and Johnson, Rethinking "Batch" in BatchNorm (PreciseBN), 2021, arXiv:2105.07576.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from headstart.errors import DataError
from headstart.models.layers import leaves


def adapt(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Estimate the mean and variance of every BatchNormalization anew.

    Each batch passes through the network once, every BatchNormalization normalising with the statistics of that batch.
    The mean is averaged over the batches; the variance is the mean of the variances within batches plus the variance of
    the means between them. Batches count by their size. Nothing else in the model changes.

    Args:
        model: from RGB pixels 0-255 on; its backbone may be nested in it.
        batches: `(pictures, height, width, 3)`, uint8 or float32. Within a batch the statistics should be those of the
            data, so the pictures should be mixed and at least about 32.

    Raises:
        DataError: if there is no batch.
    """
    norms = _norms(model)
    sums = [(np.zeros(norm.moving_mean.shape), np.zeros(norm.moving_mean.shape)) for norm in norms]
    pictures = 0
    with _showing_the_statistics_of_each_batch(model):
        for batch in batches:
            model(keras.ops.convert_to_tensor(batch, "float32"), training=True)
            pictures += len(batch)
            for norm, (firsts, seconds) in zip(norms, sums, strict=True):
                mean, variance = (
                    _array(value).astype(np.float64) for value in (norm.moving_mean, norm.moving_variance)
                )
                firsts += len(batch) * mean
                seconds += len(batch) * (variance + mean**2)
    if not pictures:
        raise DataError("there is no picture to estimate the statistics of BatchNormalization on.")
    for norm, (firsts, seconds) in zip(norms, sums, strict=True):
        mean = firsts / pictures
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(np.maximum(seconds / pictures - mean**2, 0))


def statistics(model: keras.Model) -> list[np.ndarray]:
    """Mean and variance of every BatchNormalization in turn, float32 `(channels,)` each, to be kept on disk."""
    return [_array(value) for norm in _norms(model) for value in (norm.moving_mean, norm.moving_variance)]


def set_statistics(model: keras.Model, arrays: Sequence[np.ndarray]) -> None:
    """Give a model what `statistics` took from one with the same layers.

    Raises:
        ValueError: if the arrays are not as many, or not of the shapes, that the model has.
    """
    values = [value for norm in _norms(model) for value in (norm.moving_mean, norm.moving_variance)]
    expected, found = [tuple(value.shape) for value in values], [array.shape for array in arrays]
    if expected != found:
        raise ValueError(f"{model.name!r} has statistics of the shapes {expected}, received were {found}.")
    for value, array in zip(values, arrays, strict=True):
        value.assign(array)


def _norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [leaf for leaf in leaves(model) if isinstance(leaf, keras.layers.BatchNormalization)]


def _array(value: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


@contextmanager
def _showing_the_statistics_of_each_batch(model: keras.Model) -> Iterator[None]:
    """In training mode let nothing drop out, and moving statistics follow the last batch alone: momentum zero."""
    norms = _norms(model)
    dropouts = [leaf for leaf in leaves(model) if isinstance(leaf, keras.layers.Dropout)]
    before = [(norm.trainable, norm.momentum) for norm in norms]
    kept = statistics(model)
    rates = [dropout.rate for dropout in dropouts]
    try:
        for dropout in dropouts:
            dropout.rate = 0.0
        for norm in norms:
            norm.trainable, norm.momentum = True, 0.0
        yield
    finally:
        for dropout, rate in zip(dropouts, rates, strict=True):
            dropout.rate = rate
        for norm, (trainable, momentum) in zip(norms, before, strict=True):
            norm.trainable, norm.momentum = trainable, momentum
        set_statistics(model, kept)
